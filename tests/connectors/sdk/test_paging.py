"""Pages put together, in four ways; a loop ends as an error and not as an endless read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from connectors.sdk.errors import Broken
from connectors.sdk.paging import Chunk, by_cursor, by_link, by_number, by_offset, next_link

ALL = list(range(25))


async def test_cursors_lead_through_all_pages_and_from_any_of_them() -> None:
    async def read(cursor: str | None) -> Chunk[int]:
        at = int(cursor or 0)
        return Chunk(ALL[at : at + 10], str(at + 10) if at + 10 < len(ALL) else None)

    assert [item async for item in by_cursor(read)] == ALL
    assert [item async for item in by_cursor(read, start="10")] == ALL[10:]


@pytest.mark.parametrize("cursors", [{None: "a", "a": "a"}, {None: "a", "a": "b", "b": "a"}])
async def test_a_cursor_that_comes_again_is_a_loop(cursors: dict[str | None, str]) -> None:
    async def read(cursor: str | None) -> Chunk[int]:
        return Chunk([1], cursors[cursor])

    with pytest.raises(Broken, match="loops"):
        _ = [item async for item in by_cursor(read)]


async def test_pages_without_end_end() -> None:
    async def read(cursor: str | None) -> Chunk[int]:
        return Chunk([], str(int(cursor or 0) + 1))

    with pytest.raises(Broken, match="more than 50 pages"):
        _ = [item async for item in by_cursor(read, most=50)]


async def test_offsets_end_with_a_page_that_is_not_full() -> None:
    asked: list[int] = []

    async def read(offset: int, size: int) -> Sequence[int]:
        asked.append(offset)
        return ALL[offset : offset + size]

    assert [item async for item in by_offset(read, size=10)] == ALL
    assert asked == [0, 10, 20]
    asked.clear()
    assert [item async for item in by_offset(read, size=5)] == ALL
    assert asked == [0, 5, 10, 15, 20, 25]


async def test_a_system_that_ignores_the_offset_is_noticed() -> None:
    async def read(offset: int, size: int) -> Sequence[int]:
        return ALL[:size]

    with pytest.raises(Broken, match="same page twice"):
        _ = [item async for item in by_offset(read, size=10)]


async def test_numbers_end_with_an_empty_page() -> None:
    async def read(number: int) -> Sequence[int]:
        return ALL[(number - 1) * 10 : number * 10]

    assert [item async for item in by_number(read)] == ALL


async def test_links_are_followed_by_their_query_only() -> None:
    asked: list[Mapping[str, str]] = []

    async def read(params: Mapping[str, str]) -> tuple[Sequence[int], Mapping[str, str]]:
        asked.append(params)
        at = int(params.get("from", 0))
        link = f'<https://elsewhere.example/list?from={at + 10}&q=a%20b>; rel="next", </list>; rel="first"'
        return ALL[at : at + 10], {"link": link} if at + 10 < len(ALL) else {}

    assert [item async for item in by_link(read)] == ALL
    assert asked == [{}, {"from": "10", "q": "a b"}, {"from": "20", "q": "a b"}]


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('<https://a.example/x?p=2>; rel="next"', {"p": "2"}),
        ('</x?p=1>; rel="prev", </x?p=3>; title="a, b"; rel=next', {"p": "3"}),
        ('</x?p=3>; rel="last next"', {"p": "3"}),
        ('</x?p=1>; rel="prev"', None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_link_headers(header: str, found: dict[str, str] | None) -> None:
    assert next_link({"Link": header}) == found
