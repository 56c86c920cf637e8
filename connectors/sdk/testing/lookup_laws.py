"""Laws of look-ups: "there is none" is believed from the system itself only, for a write may follow from it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from connectors.sdk.capabilities.capability import capabilities_of, methods_of, writes_of
from connectors.sdk.connector import Connector, declared
from connectors.sdk.errors import ConnectorError
from connectors.sdk.idempotency import ByFind
from connectors.sdk.testing import samples
from connectors.sdk.testing.case import Bench, Case

_PAGE = b"<html><title>404</title>There is no such page.</html>"
_ANSWER = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
    % (len(_PAGE), _PAGE)
)


def cases(connector: type[Connector[Any]]) -> list[Case]:
    """For every look-up of a connector that speaks HTTP: what a capability finds, and what a by_find names."""
    if connector.transport != "http":
        return []
    found: list[Case] = []
    for capability in capabilities_of(connector):
        name, writes = capability.capability, writes_of(capability)
        for method, body in methods_of(capability).items():
            asked = method not in writes and method not in connector.cannot_answer
            if asked and "None" in str(inspect.signature(body).return_annotation).split(" | "):
                found.append(_case(f"{name}.{method}", partial(_read, name, method)))
    for method, idempotency in declared(connector).items():
        if isinstance(idempotency, ByFind):
            capability = next(each for each in capabilities_of(connector) if method in writes_of(each))
            run = partial(_by_find, capability.capability, method, idempotency.find)
            found.append(_case(f"{capability.capability}.{method} by {idempotency.find}", run))
    return found


def _case(what: str, run: Any) -> Case:
    return Case("laws", f"{what}: a gateway's 404 is not 'there is none'", run)


async def _read(capability: str, method: str, bench: Bench) -> None:
    own = bench.samples.get(f"{capability}.{method}")
    arguments = await samples.read_arguments(own, capability, method, bench.connector)
    await _is_an_error(bench, method, *arguments)


async def _by_find(capability: str, method: str, find: str, bench: Bench) -> None:
    maker = bench.samples.get(f"{capability}.{method}") or samples.WRITES[capability][method]
    sample = await maker(bench.connector, "elsewhere")
    await _is_an_error(bench, find, sample.request, sample.key)


async def _is_an_error(bench: Bench, method: str, *arguments: Any) -> None:
    async with _gateway() as url:
        try:
            answer = await getattr(bench.made(url=url), method)(*arguments)
        except ConnectorError:
            return
    raise AssertionError(f"a gateway answered 404 with a page of its own, and {method} answers {answer!r}")


@asynccontextmanager
async def _gateway() -> AsyncIterator[str]:
    """Something before the other system that does not know where to pass requests on to."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_ANSWER)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
