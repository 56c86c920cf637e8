"""A frugal HTTP client for benches: prepared requests over kept connections, so that the server is what is measured."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit


class Load(NamedTuple):
    """What a load came to: seconds in all, the seconds of each request, and how often each status was answered."""

    seconds: float
    waits: list[float]
    statuses: Counter[int]


def prepared(url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of a POST to `url`."""
    return _request("POST", url, {"content-length": str(len(body)), **headers}, body)


def prepared_get(url: str, headers: Mapping[str, str]) -> bytes:
    """The bytes of a GET of `url`."""
    return _request("GET", url, headers, b"")


def _request(method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"{method} {target} HTTP/1.1", f"host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def send_all(url: str, requests: Sequence[bytes], at_once: int) -> Load:
    """Send all of `requests` over `at_once` connections, each sending its next when its last is answered.

    Raises OSError when the server hangs up.
    """
    waiting = iter(requests)
    waits: list[float] = []
    statuses: Counter[int] = Counter()
    address = urlsplit(url)
    connections = [
        await asyncio.open_connection(address.hostname, address.port)
        for _ in range(min(at_once, len(requests)))
    ]
    began = time.perf_counter()
    await asyncio.gather(*(_send(*each, waiting, waits, statuses) for each in connections))
    seconds = time.perf_counter() - began
    for _, writer in connections:
        writer.close()
    return Load(seconds, waits, statuses)


async def _send(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    waiting: Iterator[bytes],
    waits: list[float],
    statuses: Counter[int],
) -> None:
    for request in waiting:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or b"0"))
        waits.append(time.perf_counter() - began)
        statuses[int(head[9:12])] += 1
