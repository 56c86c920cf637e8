"""Sending a stand-in's webhooks to a receiver on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

LOCAL = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class Webhook:
    """One webhook to fire: what happened (`kind`, `object`), where to send it and how.

    `duplicate` sends the same bytes that many times more; `late` signs it as made that many seconds ago (negative:
    ahead).
    """

    kind: str
    object: Mapping[str, Any]
    url: str
    secret: str = field(repr=False)
    duplicate: int = 0
    late: float = 0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or parts.hostname not in LOCAL:
            raise ValueError("url: a stand-in sends webhooks to 127.0.0.1 only; give an http URL there")
        if self.duplicate < 0:
            raise ValueError("duplicate must not be negative")


async def send(url: str, body: bytes, headers: Mapping[str, str], copies: int = 1) -> list[int]:
    """POST the same bytes `copies` times, one after the other; the receiver's statuses (0: no answer within 10 s)."""
    statuses: list[int] = []
    limit = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=limit) as session:
        for _ in range(copies):
            try:
                async with session.post(
                    url, data=body, headers=dict(headers), allow_redirects=False
                ) as reply:
                    await reply.read()
                    statuses.append(reply.status)
            except (aiohttp.ClientError, TimeoutError):
                statuses.append(0)
    return statuses
