"""The conformance kit outside of pytest: every cell of a connector beside the stand-in that is installed for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from connectors.sdk.connector import Connector
from connectors.sdk.testing.suite import Result, bench, cases, judge

GROUP = "masthead.stand_ins"


class NoStandIn(LookupError):
    """A connector has no stand-in, or it cannot be loaded. The message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One cell as it came out, and how many there are before it is the last."""

    result: Result
    number: int
    of: int


def stand_ins() -> Mapping[str, Callable[[], Any]]:
    """What makes the stand-in of a connector, by the connector's name: entry points of the group masthead.stand_ins."""
    return {point.name: _maker(point) for point in entry_points(group=GROUP)}


def _maker(point: Any) -> Callable[[], Any]:
    def make() -> Any:
        try:
            return point.load()()
        except Exception as error:
            raise NoStandIn(
                f"the stand-in of {point.name} ({point.value}) does not load: {type(error).__name__}: {error}"
            ) from error

    return make


def judged(connector: type[Connector[Any]], only: str = "") -> Iterator[Judged]:
    """Every case whose name has `only` in it, one after the other, beside the connector's own stand-in.

    Raises NoStandIn.
    """
    make = stand_ins().get(connector.name)
    if make is None:
        raise NoStandIn(
            f"{connector.name} has no stand-in: name one in your package, "
            f'[project.entry-points."{GROUP}"] {connector.name} = "your.module:StandIn"'
        )
    stand_in = make()
    chosen = [case for case in cases(connector) if only in case.id]
    stand_in.start()
    try:
        for number, case in enumerate(chosen, 1):
            yield Judged(asyncio.run(judge(case, lambda: bench(connector, stand_in))), number, len(chosen))
    finally:
        stand_in.stop()
