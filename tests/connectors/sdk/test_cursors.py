"""Incremental reading: nothing is lost to clocks that differ, nothing comes twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sdk.cursors import Incremental
from connectors.sdk.errors import Broken

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
Change = tuple[str, int]  # an id, and the second at which it changed


def _advanced(cursor: Incremental, changes: list[Change]) -> tuple[list[Change], Incremental]:
    return cursor.advance(
        changes,
        identity=lambda change: change[0],
        version=lambda change: str(change[1]),
        changed_at=lambda change: BEGIN + timedelta(seconds=change[1]),
    )


def test_the_overlap_brings_late_ones_and_leaves_out_known_ones() -> None:
    fresh, cursor = _advanced(Incremental(overlap=timedelta(seconds=60)), [("a", 0), ("b", 100)])
    assert fresh == [("a", 0), ("b", 100)]
    assert cursor.since == BEGIN + timedelta(seconds=40)
    # c was made before b, and became visible later; b has changed once more.
    fresh, cursor = _advanced(
        Incremental.load(cursor.dump(), cursor.overlap), [("c", 50), ("b", 100), ("b", 120)]
    )
    assert fresh == [("c", 50), ("b", 120)]
    assert set(cursor.seen) == {"b"}


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 500)), max_size=40, unique=True),
    late=st.lists(st.integers(0, 30), min_size=40, max_size=40),
    reads=st.lists(st.integers(0, 560), max_size=8),
)
def test_each_change_comes_exactly_once_however_it_is_read(
    changes: list[Change], late: list[int], reads: list[int]
) -> None:
    visible = {change: change[1] + late[n] for n, change in enumerate(changes)}
    cursor, got = Incremental(overlap=timedelta(seconds=60)), []
    for now in [*sorted(reads), 1000]:
        since = cursor.since
        seen = [
            change
            for change in sorted(changes, key=lambda change: change[1])
            if visible[change] <= now and (since is None or BEGIN + timedelta(seconds=change[1]) >= since)
        ]
        fresh, cursor = _advanced(Incremental.load(cursor.dump(), cursor.overlap), seen)
        got += fresh
    # A record that changed twice within the overlap may come again with its older version; never may one be lost.
    assert set(got) == set(changes)
    once = [change for change in changes if sum(each[0] == change[0] for each in changes) == 1]
    assert all(got.count(change) == 1 for change in once)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"newest": "yesterday", "seen": {}}', "null"])
def test_a_cursor_that_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(Broken, match="stored cursor"):
        Incremental.load(text)
