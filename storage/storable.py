"""Text and JSON as Postgres can keep them."""

from __future__ import annotations

from typing import Any


def storable(value: Any) -> Any:
    """The value without NUL, the one character that neither text nor jsonb can hold: what other systems say must not
    keep us from writing down that they said it. Mappings come back as dicts, lists and tuples as lists."""
    if isinstance(value, dict):
        return {storable(name): storable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable(each) for each in value]
    return value.replace("\0", "") if isinstance(value, str) else value
