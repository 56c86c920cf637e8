"""Which kinds of events an endpoint wants: `*`, `invoice.*` or `invoice.posted`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MOST_KINDS = 50
_PATTERN = re.compile(r"\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?", re.ASCII)
_LONGEST = 100


class BadKinds(ValueError):
    """The kinds asked for cannot be meant. The message says which, and how they are written."""


def checked_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """`kinds` without repetitions, in alphabetical order. Raises BadKinds for none, too many, or one that is not
    written as above."""
    if not kinds:
        raise BadKinds("name at least one kind of event, as in subscription.changed, invoice.* or *")
    wrong = [kind for kind in kinds if len(kind) > _LONGEST or not _PATTERN.fullmatch(kind)]
    if wrong:
        raise BadKinds(
            f"{wrong[0][:_LONGEST]!r} is no kind of event: write words of a-z, 0-9 and _ joined by full stops, "
            "as in invoice.posted; a * may stand alone or as the last word"
        )
    if len(set(kinds)) > MOST_KINDS:
        raise BadKinds(
            f"{len(set(kinds))} kinds are too many for an endpoint: {MOST_KINDS} at most, or use a *"
        )
    return tuple(sorted(set(kinds)))


def wants(patterns: Iterable[str], kind: str) -> bool:
    """Whether an event of `kind` fits one of `patterns`. `invoice.*` is all below `invoice`, at any depth."""
    return any(
        pattern == "*" or pattern == kind or (pattern.endswith(".*") and kind.startswith(pattern[:-1]))
        for pattern in patterns
    )


def like_patterns(patterns: Iterable[str]) -> list[str]:
    """`patterns` as SQL's LIKE reads them."""
    return [pattern.replace("_", r"\_").replace("*", "%") for pattern in patterns]
