"""Mapping as data: which field of the other system is made of what, checked when loaded.

A map is a block of target fields, as deep as the target is. Each is an expression (JMESPath with the functions of
mapping_functions.py) or `{const: value}`:

    kind: {const: contact}
    key: key
    fields:
      email: person.email
      since: date(created_at, '%d/%m/%Y')

What no longer fits when records come is a drift. A map says what is then done:
    park        the record is put aside with a report (the default)
    drop_field  the field is left out, the rest of the record goes
    freeze      nothing more is sent until a person has corrected the map or the other system
    evolve      fields that the other system does not list are sent all the same: it may make them
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import BaseModel, TypeAdapter, ValidationError

from connectors.sdk.located import DocumentProblems, Located, Place, Problem, dotted, nearest
from connectors.sdk.mapping_functions import MappingFunctions, UnreadableValue, as_text
from connectors.sdk.mapping_paths import ANYTHING, Shape, check, shape_of

OPEN_BLOCK = "fields"  # where a capability's record holds the other system's own fields


class DriftPolicy(StrEnum):
    """What is done with a record that no longer fits."""

    PARK = "park"
    DROP_FIELD = "drop_field"
    FREEZE = "freeze"
    EVOLVE = "evolve"


@runtime_checkable
class TellsFields(Protocol):
    """A connector that knows which fields the other system has."""

    async def tell_fields(self, kind: str) -> abc.Collection[str] | None:
        """The field names of records of `kind` (contact, product, ...); None where it cannot tell."""
        ...


class FieldDrift(NamedTuple):
    """One field that does not fit: a target field by its path, and why. No content of the record."""

    field: str
    reason: str


@dataclass(frozen=True)
class Drift:
    """A record that the map does not fit. stops: nothing more shall be sent."""

    fields: tuple[FieldDrift, ...]
    stops: bool = False

    def __str__(self) -> str:
        return "; ".join(f"{each.field}: {each.reason}" for each in self.fields)


class Mapped(dict[str, Any]):
    """What a record was mapped to. dropped: fields that were left out because they had drifted."""

    dropped: tuple[FieldDrift, ...] = ()


class _Rule(NamedTuple):
    place: tuple[str, ...]
    expression: Any  # compiled; None for a constant
    constant: Any
    text: bool


@dataclass(frozen=True)
class Mapping:
    """A map that is sound. Make it with `load`."""

    policy: DriftPolicy
    target: type[BaseModel] | None
    rules: tuple[_Rule, ...] = field(repr=False)
    _options: Any = field(repr=False)

    @classmethod
    def load(
        cls,
        spec: abc.Mapping[str, Any],
        *,
        tables: abc.Mapping[str, abc.Mapping[str, Any]] | None = None,
        drift: DriftPolicy | str = DriftPolicy.PARK,
        source: type[BaseModel] | None = None,
        target: type[BaseModel] | None = None,
        known: abc.Collection[str] | None = None,
        document: Located | None = None,
        place: Place = ("map",),
    ) -> Mapping:
        """The map that `spec` describes.

        source: the model of what goes in; target: of what comes out; known: the names that may stand in the target's
        block `fields`, where the other system tells them. document, place: where `spec` stands, for the messages.
        Raises DocumentProblems with everything that is wrong: expressions, functions, tables, fields of either side.
        """
        loader = _Loader(tables or {}, shape_of(source) if source else ANYTHING, known, place)
        loader.block(spec, shape_of(target) if target else ANYTHING, ())
        if drift not in tuple(DriftPolicy):
            loader.problems.append(
                Problem(
                    (*place[:-1], "drift"),
                    f"{drift!r} is no policy; {nearest(str(drift), [str(each) for each in DriftPolicy])}",
                )
            )
        if loader.problems:
            raise DocumentProblems(loader.problems, document)
        options = jmespath.Options(custom_functions=MappingFunctions(tables or {}))
        return cls(DriftPolicy(drift), target, tuple(loader.rules), options)

    def apply(self, state: abc.Mapping[str, Any], known: abc.Collection[str] | None = None) -> Mapped | Drift:
        """`state` (plain JSON values) as the target's fields; Drift where the policy lets nothing be sent.

        known: the names that the other system has in the block `fields` now.
        """
        mapped, drifted = Mapped(), []
        for rule in self.rules:
            try:
                if self._is_gone(rule, known):
                    raise UnreadableValue("the other system has no such field any more")
                _put(mapped, rule.place, self._value(rule, state))
            except UnreadableValue as error:
                drifted.append(FieldDrift(dotted(rule.place), str(error)))
        if drifted and self.policy is not DriftPolicy.DROP_FIELD:
            return Drift(tuple(drifted), stops=self.policy is DriftPolicy.FREEZE)
        mapped.dropped = tuple(drifted)
        return mapped

    def make(
        self, state: abc.Mapping[str, Any], known: abc.Collection[str] | None = None
    ) -> BaseModel | Drift:
        """`apply`, and what comes out as a value of the target model; Drift also where that does not take it."""
        if self.target is None:
            raise TypeError("this map was loaded without a target model")
        mapped = self.apply(state, known)
        if isinstance(mapped, Drift):
            return mapped
        try:
            return self.target.model_validate(mapped)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            return Drift(tuple(FieldDrift(dotted(each["loc"]), each["msg"]) for each in found))

    def gone(self, known: abc.Collection[str]) -> list[str]:
        """Fields of the map that the other system does not have, where the policy does not let them go."""
        if self.policy not in (DriftPolicy.PARK, DriftPolicy.FREEZE):
            return []
        return [dotted(rule.place) for rule in self.rules if self._is_gone(rule, known)]

    def _is_gone(self, rule: _Rule, known: abc.Collection[str] | None) -> bool:
        if known is None or self.policy is DriftPolicy.EVOLVE or len(rule.place) < 2:
            return False
        return rule.place[0] == OPEN_BLOCK and rule.place[1] not in known

    def _value(self, rule: _Rule, state: abc.Mapping[str, Any]) -> Any:
        if rule.expression is None:
            return rule.constant
        try:
            value = rule.expression.search(state, options=self._options)
        except UnreadableValue:
            raise
        except (JMESPathError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
            # The library's messages quote the value, which may be personal.
            raise UnreadableValue(f"cannot be computed ({type(error).__name__})") from None
        return as_text(value) if rule.text else value


def _put(into: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for step in place[:-1]:
        into = into.setdefault(step, {})
    into[place[-1]] = value


class _Loader:
    """Walks a map's block beside the target's shape."""

    def __init__(
        self,
        tables: abc.Mapping[str, Any],
        source: Shape,
        known: abc.Collection[str] | None,
        place: Place,
    ) -> None:
        self.problems: list[Problem] = []
        self.rules: list[_Rule] = []
        self._tables = tables
        self._source = source
        self._known = known
        self._root = place

    def block(self, spec: Any, target: Shape, place: tuple[str, ...]) -> None:
        if not isinstance(spec, abc.Mapping) or not spec:
            self._note(place, "must be a block of fields and what they are made of")
            return
        fields = target.fields()
        for name, entry in spec.items():
            here = (*place, str(name))
            if fields is not None and name not in fields:
                self._note(here, f"the target has no field {name!r}; {nearest(str(name), fields)}")
            elif place == (OPEN_BLOCK,) and self._known is not None and name not in self._known:
                self._note(here, f"the other system has no field {name!r}; {nearest(str(name), self._known)}")
            else:
                self._entry(entry, fields[name] if fields else target.item or ANYTHING, here)
        if target.model is not None:
            self._required(target.model, spec, place)

    def _required(self, model: type[BaseModel], spec: abc.Mapping[str, Any], place: tuple[str, ...]) -> None:
        for name, info in model.model_fields.items():
            if info.is_required() and name not in spec:
                self._note(place, f"says nothing about {name!r}, which the target needs")

    def _entry(self, entry: Any, target: Shape, place: tuple[str, ...]) -> None:
        if isinstance(entry, str):
            for message in check(entry, self._source, self._tables):
                self._note(place, message)
            self.rules.append(
                _Rule(place, jmespath.compile(entry) if not self.problems else None, None, target.text)
            )
        elif isinstance(entry, abc.Mapping) and set(entry) == {"const"}:
            self._constant(entry["const"], target, place)
        elif isinstance(entry, abc.Mapping):
            self.block(entry, target, place)
        else:
            self._note(place, "write an expression, {const: value}, or a block of fields")

    def _constant(self, value: Any, target: Shape, place: tuple[str, ...]) -> None:
        if target.text:
            value = as_text(value)
        elif target is not ANYTHING:
            try:
                TypeAdapter(target.annotation).validate_python(value)
            except ValidationError as error:
                self._note(place, f"{value!r} does not fit: {error.errors(include_url=False)[0]['msg']}")
        self.rules.append(_Rule(place, None, value, target.text))

    def _note(self, place: tuple[str, ...], message: str) -> None:
        self.problems.append(Problem((*self._root, *place), message))
