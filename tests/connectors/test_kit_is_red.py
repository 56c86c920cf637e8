"""The kit notices: what a careless author does is red, in the very case where the careful one is green."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.sdk.testing.suite import bench, cases, judge
from masthead.testing import ReferenceStandIn
from tests.connectors.careless import CARELESS, Careless


@pytest.fixture(scope="module")
def stand_in() -> Iterator[ReferenceStandIn]:
    with ReferenceStandIn() as running:
        yield running


@pytest.fixture(scope="module")
def control(stand_in: ReferenceStandIn) -> dict[tuple[str, str], Any]:
    """The careful connectors in the cases that are asked for, each judged once."""
    asked = {(each.careful, each.case) for each in CARELESS}
    return {(made.__name__, case): _judged(made, case, stand_in) for made, case in asked}


def _judged(connector: Any, name: str, stand_in: ReferenceStandIn) -> Any:
    case = next(each for each in cases(connector) if each.id == name)
    return asyncio.run(judge(case, lambda: bench(connector, stand_in)))


@pytest.mark.parametrize(
    "careless", CARELESS, ids=[f"{each.connector.__name__} in {each.case}" for each in CARELESS]
)
def test_the_kit_notices(
    careless: Careless, stand_in: ReferenceStandIn, control: dict[tuple[str, str], Any]
) -> None:
    result = _judged(careless.connector, careless.case, stand_in)
    assert result.outcome == "red", "the kit took it for careful"
    assert result.detail.startswith("AssertionError") or "Rejected" in result.detail, result.detail
    assert control[careless.careful.__name__, careless.case].outcome != "red"
