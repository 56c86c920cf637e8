"""Idempotency keys as vendors keep them: a result is replayed for a while, and a key belongs to one request."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sandbox.calls import Answer, Call, Refused
from sandbox.clock import Clock


class KeyReused(Exception):
    """The key was used before with other parameters."""


class KeyInUse(Exception):
    """A call with this key is still being worked on."""


@dataclass
class _Kept:
    fingerprint: str
    answer: Answer | None
    since: datetime


def fingerprint(call: Call) -> str:
    """What makes two calls the same: method, path, query and body."""
    parts = (call.method, call.path, repr(sorted(call.query)))
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + call.body).hexdigest()


class IdempotencyKeys:
    """The keys that one stand-in remembers, each for `ttl` by the stand-in's clock."""

    def __init__(self, clock: Clock, ttl: timedelta) -> None:
        self.clock = clock
        self.ttl = ttl
        self._kept: dict[str, _Kept] = {}

    async def answer(
        self,
        key: str,
        call: Call,
        apply: Callable[[], Answer | Awaitable[Answer]],
        keeps: Callable[[Answer], bool] = lambda answer: True,
    ) -> tuple[Answer, bool]:
        """The answer to a call under `key`, and whether it is a replay.

        Failed results that `keeps` accepts are kept like good ones (a `Refused` of `apply` too). Raises KeyReused for
        other parameters and KeyInUse while the first call is still under way; a crash of `apply` frees the key.
        """
        known = self._known(key)
        mark = fingerprint(call)
        if known is not None:
            if known.fingerprint != mark:
                raise KeyReused(key)
            if known.answer is None:
                raise KeyInUse(key)
            return known.answer, True
        self._kept[key] = kept = _Kept(mark, None, self.clock.now())
        try:
            await call.processing()
            try:
                made = apply()
                answer = made if isinstance(made, Answer) else await made
            except Refused as refused:
                answer = refused.answer
            if keeps(answer):
                kept.answer = answer
            return answer, False
        finally:
            if kept.answer is None:
                self._kept.pop(key, None)

    def _known(self, key: str) -> _Kept | None:
        kept = self._kept.get(key)
        if kept is not None and kept.answer is not None and self.clock.now() - kept.since >= self.ttl:
            del self._kept[key]
            return None
        return kept

    def reset(self) -> None:
        """Forget all keys."""
        self._kept.clear()
