"""What docs/billing.md has to say: its tables as the models give them, its outputs as the scenarios give them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from domain.catalog import IntervalSpec
from domain.policy import Policy
from runtime.scenario_source import VERBS

_COMMAND = re.compile(r"^    masthead simulate (examples/scenarios/\S+\.yaml)$")
_PLAIN = {"str": "text", "int": "whole number", "bool": "`true`, `false`", "Decimal": "number", "date": "day"}


def policy_rows() -> list[str]:
    """The rows of the table of the policy: key, allowed values, default, meaning."""
    return [
        f"| `{path}` | {_allowed(field.annotation)} | {_default(field)} | {_cell(field.description or '')} |"
        for path, field in _leaves(Policy, "")
    ]


def verb_rows() -> list[str]:
    """The rows of the table of the verbs: verb, fields (optional ones in brackets), meaning."""
    rows = []
    for verb, model in VERBS.items():
        fields = [
            f"`{field.alias or name}`" if field.is_required() else f"[`{field.alias or name}`]"
            for name, field in model.model_fields.items()
            if name not in ("at", "do")
        ]
        fields.sort(key=lambda field: field.startswith("["))
        rows.append(f"| `{verb}` | {', '.join(fields)} | {_cell(' '.join((model.__doc__ or '').split()))} |")
    return rows


def shown_outputs(guide: str) -> Iterator[tuple[str, list[str]]]:
    """(scenario, lines) of each output that the guide shows behind its command; a line of dots stands for any lines."""
    lines = guide.splitlines()
    for place, line in enumerate(lines):
        found = _COMMAND.match(line)
        if found:
            start = next(at for at in range(place, len(lines)) if lines[at] == "```text") + 1
            yield found[1], lines[start : lines.index("```", start)]


def missing_lines(shown: list[str], output: list[str]) -> list[str]:
    """The lines of `shown` that `output` does not have there: each follows the one before, or comes later where dots
    stand between."""
    at, gap = 0, True
    for line in shown:
        if line == "...":
            gap = True
            continue
        if not gap and output[at : at + 1] != [line]:
            return [line]
        if line not in output[at:]:
            return [line]
        at = output.index(line, at) + 1
        gap = False
    return []


def _leaves(model: type[BaseModel], path: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        here = f"{path}{name}"
        inner = _models(field.annotation)
        if not inner:
            yield here, field
        for each in inner:
            suffix = "[]." if get_origin(_bare(field.annotation)) is tuple else "."
            yield from _leaves(each, f"{here}{suffix}")


def _bare(kind: Any) -> Any:
    """`kind` without Annotated and None."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    args = [each for each in get_args(kind) if each is not NoneType]
    if NoneType in get_args(kind) and len(args) == 1:
        return _bare(args[0])
    return kind


def _models(kind: Any) -> list[type[BaseModel]]:
    bare = _bare(kind)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return [] if bare is IntervalSpec else [bare]
    return [model for each in get_args(bare) for model in _models(each)]


def _allowed(kind: Any) -> str:
    bare = _bare(kind)
    if get_origin(bare) is Literal:
        return ", ".join(f"`{each.value if isinstance(each, Enum) else each}`" for each in get_args(bare))
    if get_origin(bare) is tuple:
        return f"list of {_allowed(get_args(bare)[0])}"
    if get_origin(bare) is dict:
        return f"{_allowed(get_args(bare)[1])}, for each name"
    if isinstance(bare, type) and issubclass(bare, Enum):
        return ", ".join(f"`{each.value}`" for each in bare)
    return "an interval, `{unit: month, count: 3}`" if bare is IntervalSpec else _PLAIN[bare.__name__]


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "must be given"
    if value is None or value == () or value == {}:
        return "none"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    """`text` without the numbers of laws, which are for developers."""
    return re.sub(r" \(law \d+\)", "", text).replace("|", "\\|")
