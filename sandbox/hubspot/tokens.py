"""OAuth tokens: access tokens that expire and refresh tokens that rotate, by the stand-in's clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta


class BadRefreshToken(Exception):
    """The refresh token was never given out, is used up, or was revoked."""


@dataclass(frozen=True)
class Pair:
    """What a refresh gives. `expires_in` is in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


class Tokens:
    """The tokens of one app in one portal.

    With `rotate`, each refresh gives a new refresh token; the old one is good for `grace` more, then never again.
    """

    def __init__(
        self, now: Callable[[], datetime], ttl: timedelta, *, rotate: bool, grace: timedelta
    ) -> None:
        self._now = now
        self._ttl = ttl
        self._rotate = rotate
        self._grace = grace
        self._numbers = itertools.count(1)
        self._access: dict[str, datetime] = {}
        self._good_until: dict[str, datetime | None] = {}
        #: How many refreshes were answered with new tokens.
        self.refreshes = 0
        #: The refresh token that was given out last.
        self.current = self._new_refresh_token()

    def refresh(self, refresh_token: str) -> Pair:
        """New tokens for this one. Raises BadRefreshToken."""
        now = self._now()
        if refresh_token not in self._good_until:
            raise BadRefreshToken
        until = self._good_until[refresh_token]
        if until is not None and now >= until:
            raise BadRefreshToken
        self.refreshes += 1
        if self._rotate:
            if until is None:
                self._good_until[refresh_token] = now + self._grace
            self.current = self._new_refresh_token()
        return Pair(
            self.issue(), self.current if self._rotate else refresh_token, int(self._ttl.total_seconds())
        )

    def issue(self) -> str:
        """A new access token."""
        token = f"access-{next(self._numbers)}"
        self._access[token] = self._now() + self._ttl
        return token

    def left(self, access_token: str) -> timedelta | None:
        """How long an access token is good for (negative: expired since); None for one that was never given out."""
        until = self._access.get(access_token)
        return None if until is None else until - self._now()

    def revoke(self, refresh_token: str) -> None:
        """Make a refresh token bad."""
        self._good_until.pop(refresh_token, None)

    def expire_all(self) -> None:
        """Let all access tokens expire now."""
        self._access = dict.fromkeys(self._access, self._now())

    def _new_refresh_token(self) -> str:
        token = f"refresh-{next(self._numbers)}"
        self._good_until[token] = None
        return token
