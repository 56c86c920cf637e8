"""The methods of all capabilities as data: their names, what they take, and how that is read from JSON.

The list is made from the capability classes; whoever adds a capability adds nothing here.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

import connectors.sdk.capabilities as room
from connectors.sdk.capabilities.capability import Capability, methods_of
from connectors.sdk.errors import DefinitionError
from connectors.sdk.idempotency import is_write


@dataclass(frozen=True, slots=True)
class Method:
    """A capability's method. name: `payment.charge`. write: it has a key. parameters: what it must be given beside
    the key; what it has a default for is not written down with a call. batch: it takes many records at once."""

    capability: type[Capability]
    function: str
    write: bool
    parameters: Mapping[str, TypeAdapter[Any]]
    answer: TypeAdapter[Any]
    batch: bool

    @property
    def name(self) -> str:
        """As files, rows and activities call it."""
        return f"{self.capability.capability}.{self.function}"

    def request(self, *arguments: Any) -> Any:
        """The JSON of a call's arguments, in order: of one argument its own, of several by their names."""
        parts = {
            name: adapter.dump_python(argument, mode="json")
            for (name, adapter), argument in zip(self.parameters.items(), arguments, strict=True)
        }
        return next(iter(parts.values())) if len(parts) == 1 else parts

    def arguments(self, request: Any) -> list[Any]:
        """The inverse of `request`. Raises pydantic.ValidationError naming the fields."""
        if len(self.parameters) == 1:
            (adapter,) = self.parameters.values()
            return [adapter.validate_json(json.dumps(request))]
        given = request if isinstance(request, Mapping) else {}
        return [
            adapter.validate_json(json.dumps(given.get(name))) for name, adapter in self.parameters.items()
        ]

    def problems(self, request: Any) -> dict[str, str]:
        """What is wrong with a request, or with one record of a batch, by field; empty when it can be sent. Never
        repeats what was given."""
        one_of_many = self.batch and isinstance(request, Mapping)
        try:
            self.arguments([request] if one_of_many else request)
        except ValidationError as error:
            found = problems_of(error)
            return {name.removeprefix("0."): text for name, text in found.items()} if one_of_many else found
        return {}


def problems_of(error: ValidationError) -> dict[str, str]:
    """A validation's findings by field (`lines.0.amount`), without the values."""
    return {
        ".".join(str(part) for part in found["loc"]) or "request": found["msg"]
        for found in error.errors(include_input=False, include_url=False, include_context=False)
    }


def method(name: str) -> Method:
    """The method called `payment.charge`. Raises DefinitionError naming what there is."""
    try:
        return all_methods()[name]
    except KeyError:
        raise DefinitionError(
            f"there is no method {name!r}; there are {', '.join(sorted(all_methods()))}"
        ) from None


@functools.cache
def all_methods() -> dict[str, Method]:
    """Every method of every capability of the SDK, by name."""
    for module in pkgutil.iter_modules(room.__path__):
        importlib.import_module(f"{room.__name__}.{module.name}")
    found = [
        _method(capability, function)
        for capability in Capability.__subclasses__()
        if capability.__module__.startswith(f"{room.__name__}.")
        for function in methods_of(capability)
    ]
    return {each.name: each for each in found}


def _method(capability: type[Capability], function: str) -> Method:
    body = getattr(capability, function)
    hints = get_type_hints(body)
    names = [
        name
        for name, parameter in inspect.signature(body).parameters.items()
        if name not in ("self", "key") and parameter.default is inspect.Parameter.empty
    ]
    return Method(
        capability=capability,
        function=function,
        write=is_write(body),
        parameters={name: TypeAdapter(hints[name]) for name in names},
        answer=TypeAdapter(hints["return"]),
        batch=len(names) == 1 and get_origin(hints[names[0]]) is Sequence,
    )
