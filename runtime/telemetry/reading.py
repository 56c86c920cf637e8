"""Log lines as people read them, for those who are shown the end of a log."""

from __future__ import annotations

import json


def for_people(line: str) -> str:
    """A line of a log: of a JSON object its instant, level and event, and its exception on lines of their own; anything
    else as it is."""
    try:
        said = json.loads(line)
        head = f"{said['timestamp']} {said['level']} {said['logger']}: {said['event']}"
    except (ValueError, TypeError, KeyError):
        return line
    return head if "exception" not in said else f"{head}\n{said['exception']}"
