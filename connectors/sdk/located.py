"""A document as its reader hands it over, and everything that is wrong with it at once, each with its line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from connectors.sdk.errors import DefinitionError

Place = tuple[str | int, ...]


class Located(Protocol):
    """A document as plain values, which knows on which line each place in it stands."""

    @property
    def file(self) -> Path:
        """Where it was read from."""
        ...

    @property
    def content(self) -> Any:
        """Mappings, lists, text, whole numbers, booleans and None."""
        ...

    def line(self, place: Sequence[str | int]) -> int | None:
        """The line of `place`, counted from 1, or of what holds it."""
        ...


class Problem(NamedTuple):
    """One thing that is wrong, and where in the document."""

    place: Place
    message: str


class DocumentProblems(DefinitionError):
    """Everything that is wrong with a document. Reads as `FILE:LINE: field.path: message`, one a line."""

    def __init__(self, problems: Iterable[Problem], document: Located | None = None) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(_told(problem, document) for problem in self.problems))


def _told(problem: Problem, document: Located | None) -> str:
    parts = [dotted(problem.place), problem.message]
    if document is not None:
        line = document.line(problem.place)
        parts.insert(0, f"{document.file}:{line}" if line else str(document.file))
    return ": ".join(part for part in parts if part)


def dotted(place: Sequence[str | int]) -> str:
    """A place as people write it: `map.fields.email`, `lines[0]`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def nearest(name: str, known: Iterable[str], what: str = "there are") -> str:
    """A hint for a name that is not known: the closest one, else what there is."""
    names = sorted(known)
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f"did you mean {close[0]!r}?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"{what}: {shown}" if names else "there are none"
