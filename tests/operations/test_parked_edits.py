"""What an edit makes of a payload: changes are merged in, and what was masked stays what it was."""

from __future__ import annotations

from typing import Any

import pytest

from operations.parked.decide import merged

MASKS = ("[personal]", "[secret]")
STORED: dict[str, Any] = {
    "name": "Ann",
    "to": {"line1": "1 Road", "zip": None},
    "lines": [{"n": 1, "text": "a"}, {"n": 2, "text": "b"}],
}


@pytest.mark.parametrize(
    ("changes", "after"),
    [
        ({}, {}),
        ({"weight": 3}, {"weight": 3}),
        ({"name": None}, {"name": ...}),
        ({"to": {"line1": "2 Road"}}, {"to": {"line1": "2 Road", "zip": None}}),
        ({"to": {"zip": None}}, {}),
        ({"to": "nowhere"}, {"to": "nowhere"}),
        ({"name": "[personal]"}, {}),
        ({"to": "[personal]"}, {}),
        (
            {"lines": [{"n": 1, "text": "[personal]"}, {"n": 7}]},
            {"lines": [{"n": 1, "text": "a"}, {"n": 7, "text": "b"}]},
        ),
        ({"lines": [{"n": 5}]}, {"lines": [{"n": 5}]}),
    ],
)
def test_changes_are_merged_in(changes: dict[str, Any], after: dict[str, Any]) -> None:
    expected = {name: value for name, value in (STORED | after).items() if value is not ...}
    assert merged(STORED, changes, MASKS) == expected


def test_a_whole_list_is_replaced_and_the_stored_payload_is_not_touched() -> None:
    before = repr(STORED)
    assert merged([1, 2], [3]) == [3]
    assert merged("pay-1", "pay-2") == "pay-2"
    merged(STORED, {"to": {"line1": None}, "lines": []})
    assert repr(STORED) == before
