"""What a mutation run came to: counts per module from the files that mutmut leaves, and the bar."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mutmut.stats import status_by_exit_code

BAR = 80.0  # percent

_NOTICED = ("killed", "timeout")
_UNNOTICED = ("survived", "no tests")


class NotAMeasurement(ValueError):
    """A run that says nothing about the tests: mutants that were not tried, or that ended by an accident."""


@dataclass(frozen=True, slots=True)
class Score:
    """A module's mutants: how many the tests noticed, by failing or by never ending, and the names of the others."""

    module: str
    killed: int
    timeouts: int
    survivors: tuple[str, ...]

    @property
    def total(self) -> int:
        """All mutants that were tried."""
        return self.killed + self.timeouts + len(self.survivors)

    @property
    def percent(self) -> float:
        """The noticed ones of all, in percent; 100 where there is none."""
        return 100.0 * (self.killed + self.timeouts) / self.total if self.total else 100.0


def score_of(module: str, exit_codes: Mapping[str, int | None]) -> Score:
    """The score of `module` by each mutant's exit code (None: not tried). A mutant that no test reaches has survived.

    Raises NotAMeasurement for a mutant that was not tried or crashed.
    """
    counts = {"killed": 0, "timeout": 0}
    survivors = []
    for name, code in exit_codes.items():
        status = status_by_exit_code[code]
        if status in _NOTICED:
            counts[status] += 1
        elif status in _UNNOTICED:
            survivors.append(name)
        else:
            raise NotAMeasurement(f"{name}: {status} (exit code {code}); run it again")
    return Score(module, counts["killed"], counts["timeout"], tuple(survivors))


def scores_in(copy: Path, modules: Iterable[str]) -> list[Score]:
    """The scores of `modules` (paths of sources) after a run in the folder `copy`."""
    found = []
    for module in modules:
        meta = json.loads((copy / "mutants" / f"{module}.meta").read_text())
        found.append(score_of(module, meta["exit_code_by_key"]))
    return found


def together(scores: Iterable[Score]) -> Score:
    """All modules as one."""
    found = list(scores)
    return Score(
        "together",
        sum(score.killed for score in found),
        sum(score.timeouts for score in found),
        tuple(name for score in found for name in score.survivors),
    )


def table(scores: Iterable[Score]) -> str:
    """The scores as lines of text, the sum last."""
    found = list(scores)
    lines = [f"{'module':24} {'killed':>7} {'timeout':>8} {'survived':>9} {'score':>7}"]
    lines += [
        f"{score.module:24} {score.killed:7} {score.timeouts:8} {len(score.survivors):9} {score.percent:6.1f}%"
        for score in (*found, together(found))
    ]
    return "\n".join(lines)
