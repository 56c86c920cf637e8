"""Reading a list page by page, in the four ways that systems have, with an end also when they never say one.

    async for item in by_cursor(lambda cursor: self._page(cursor)): ...

Each takes a function that reads one page, so that how a page is asked for and parsed stays with the author.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import parse_qsl, urlsplit

from connectors.sdk.errors import Broken

T = TypeVar("T")
MOST_PAGES = 10_000
_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[^,;=]+(?:=(?:\"[^\"]*\"|[^,;]*))?)*)")


@dataclass(frozen=True, slots=True)
class Chunk(Generic[T]):
    """One page as it was read. next: the cursor of the following one; None or empty at the end."""

    items: Sequence[T]
    next: str | None = None


async def by_cursor(
    read: Callable[[str | None], Awaitable[Chunk[T]]], *, start: str | None = None, most: int = MOST_PAGES
) -> AsyncIterator[T]:
    """All items; `read(cursor)` reads a page, None the first one.

    Raises Broken when a cursor comes a second time, or after `most` pages: else it would not end.
    """
    cursor, seen = start, {start}
    for _ in range(most):
        chunk = await read(cursor)
        for item in chunk.items:
            yield item
        if not chunk.next:
            return
        if chunk.next in seen:
            raise Broken("paging loops: the other system gave a cursor that it had given before")
        seen.add(cursor := chunk.next)
    raise Broken(f"paging does not end: there are more than {most:,} pages")


async def by_offset(
    read: Callable[[int, int], Awaitable[Sequence[T]]], *, size: int = 100, most: int = MOST_PAGES
) -> AsyncIterator[T]:
    """All items; `read(offset, size)` reads `size` items from `offset`; fewer than asked for are the last.

    Raises Broken when a page is the same as the one before it, or after `most` pages.
    """
    offset = 0

    async def chunk(cursor: str | None) -> Chunk[T]:
        nonlocal offset
        items = await read(offset, size)
        offset += len(items)
        return Chunk(items, str(offset) if len(items) >= size else None)

    async for item in _without_repeats(chunk, most):
        yield item


async def by_number(
    read: Callable[[int], Awaitable[Sequence[T]]], *, first: int = 1, most: int = MOST_PAGES
) -> AsyncIterator[T]:
    """All items; `read(number)` reads the page with that number, counted from `first`; an empty one is past the end.

    Raises Broken when a page is the same as the one before it, or after `most` pages.
    """

    async def chunk(cursor: str | None) -> Chunk[T]:
        number = int(cursor) if cursor is not None else first
        items = await read(number)
        return Chunk(items, str(number + 1) if items else None)

    async for item in _without_repeats(chunk, most):
        yield item


async def _without_repeats(read: Callable[[str | None], Awaitable[Chunk[T]]], most: int) -> AsyncIterator[T]:
    """By counted cursors: there a loop shows by the same page coming again."""
    before: Sequence[T] = ()

    async def checked(cursor: str | None) -> Chunk[T]:
        nonlocal before
        chunk = await read(cursor)
        if chunk.items and list(chunk.items) == list(before):
            raise Broken("paging loops: the other system gave the same page twice")
        before = chunk.items
        return chunk

    async for item in by_cursor(checked, most=most):
        yield item


def next_link(headers: Mapping[str, str]) -> Mapping[str, str] | None:
    """The query of the `rel="next"` link in a Link header (RFC 8288), for `params=`; None where there is none.

    Only the query is taken: a link to another host leads nowhere.
    """
    for target, parameters in _LINK.findall(headers.get("link", headers.get("Link", ""))):
        rels = re.search(r"(?i);\s*rel\s*=\s*\"?([^\";,]*)\"?", parameters)
        if rels and "next" in rels[1].lower().split():
            return dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
    return None


async def by_link(
    read: Callable[[Mapping[str, str]], Awaitable[tuple[Sequence[T], Mapping[str, str]]]],
    *,
    most: int = MOST_PAGES,
) -> AsyncIterator[T]:
    """All items; `read(params)` answers a page's items and its headers; the first page is asked for without params.

    Raises Broken when a link comes a second time, or after `most` pages.
    """
    links: dict[str, Mapping[str, str]] = {}

    async def chunk(cursor: str | None) -> Chunk[T]:
        items, headers = await read(links[cursor] if cursor is not None else {})
        following = next_link(headers)
        if following is None:
            return Chunk(items)
        name = repr(sorted(following.items()))
        links[name] = following
        return Chunk(items, name)

    async for item in by_cursor(chunk, most=most):
        yield item
