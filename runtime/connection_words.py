"""What is wrong with a connection's configuration, said without repeating anything that was given: it may be a secret
in the wrong place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from connectors.sdk.config import Secret
from connectors.sdk.connector import Connector
from runtime.yaml_source import Place

_SHORTEST_HIDDEN = 4
_REFERENCE = "write a reference, env:NAME or file:/absolute/path, not the secret itself"


def config_problems(
    error: ValidationError, connector: type[Connector[Any]], given: Mapping[str, Any]
) -> Iterator[tuple[Place, str]]:
    """Each problem once, with its place in the configuration; the alternatives of a field count as one."""
    told: set[Place] = set()
    for detail in error.errors(include_url=False, include_input=False):
        place = _in_document(detail["loc"], given)
        if place not in told:
            told.add(place)
            yield place, _words(detail["type"], detail["msg"], place, connector, given)


def _in_document(loc: Place, given: Mapping[str, Any]) -> Place:
    """The place without the steps that pydantic takes inside of a field, as into the sides of a union."""
    here = given.get(str(loc[0])) if loc else None
    place = loc[:1]
    for step in loc[1:]:
        if not isinstance(here, (dict, list)) or step not in (
            here if isinstance(here, dict) else range(len(here))
        ):
            break
        here = here[step]  # type: ignore[index]
        place = (*place, step)
    return place


def _words(
    kind: str, said: str, place: Place, connector: type[Connector[Any]], given: Mapping[str, Any]
) -> str:
    fields = connector.Config.model_fields
    field = fields.get(str(place[0])) if place else None
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(place[-1]), sorted(fields), n=1)
        meant = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(fields)}"
        return f"is not a field of the configuration of {connector.name}; {meant}"
    about = f" ({field.description})" if field is not None and field.description else ""
    if kind == "missing":
        return f"is missing; it is required{about}"
    if field is not None and _is_secret(field):
        return f"{_REFERENCE}{about}"
    message = said.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    for value in _texts(given):
        message = message.replace(value, "…")
    return f"{message[:1].lower()}{message[1:]}{about}"


def _is_secret(field: FieldInfo) -> bool:
    return Secret in (field.annotation, *get_args(field.annotation))


def _texts(given: Any) -> Iterator[str]:
    """Every value that was given, as a message could repeat it."""
    if isinstance(given, Mapping):
        for value in given.values():
            yield from _texts(value)
    elif isinstance(given, list):
        for value in given:
            yield from _texts(value)
    elif given is not None and len(str(given)) >= _SHORTEST_HIDDEN and not isinstance(given, bool):
        yield str(given)


def close_to(name: str, known: Iterable[str], what: str) -> str:
    """How an unknown name's message ends: what was probably meant, or all that there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"{what}: {', '.join(names)}" if names else f"{what}: none"
