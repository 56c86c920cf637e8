"""Which objects belong together, seen from both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.hubspot.errors import invalid
from sandbox.hubspot.properties import KINDS, Kind
from sandbox.hubspot.records import Record, Records

#: (from, to) → HubSpot's own type id of the plain association.
TYPES = {
    ("contacts", "companies"): 279,
    ("companies", "contacts"): 280,
    ("deals", "contacts"): 3,
    ("contacts", "deals"): 4,
    ("deals", "companies"): 341,
    ("companies", "deals"): 342,
    ("deals", "line_items"): 19,
    ("line_items", "deals"): 20,
}
_OWN = "HUBSPOT_DEFINED"
_PRIMARY = {1: ("contacts", "companies"), 2: ("companies", "contacts"), 5: ("deals", "companies")}
_PAIRS = {id: pair for pair, id in TYPES.items()} | _PRIMARY
_End = tuple[str, str]


class Associations:
    """The associations of one portal; each is kept from both sides."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._types: dict[tuple[_End, _End], set[tuple[str, int]]] = {}

    def link(self, one: Record, other: Record, types: Sequence[Any] = ()) -> None:
        """Associate two objects, by `types` (AssociationSpec) or by the plain type. Raises Problem (400)."""
        there, back = (one.kind.plural, other.kind.plural), (other.kind.plural, one.kind.plural)
        if there not in TYPES:
            raise invalid(
                f"There is no association from {there[0]} to {there[1]}", "INVALID_ASSOCIATION_TYPE"
            )
        wanted = {(_category(spec), int(spec["associationTypeId"])) for spec in types}
        for category, id in wanted:
            if category == _OWN and _PAIRS.get(id) != there:
                raise invalid(
                    f"Association type {id} is not one from {there[0]} to {there[1]}", "INVALID_TYPE"
                )
        plain = {(_OWN, TYPES[there])}
        self._types.setdefault((_end(one), _end(other)), set()).update(wanted | plain)
        self._types.setdefault((_end(other), _end(one)), set()).add((_OWN, TYPES[back]))

    def unlink(self, one: Record, other: Record) -> None:
        """Undo all associations of two objects."""
        self._types.pop((_end(one), _end(other)), None)
        self._types.pop((_end(other), _end(one)), None)

    def of(self, one: Record, kind: Kind) -> list[tuple[str, list[tuple[str, int]]]]:
        """Ids of the objects of a kind that belong to `one`, with the types; archived ones left out."""
        found = []
        for (here, (plural, id)), types in self._types.items():
            if here == _end(one) and plural == kind.plural and self._records.find(kind, id) is not None:
                found.append((id, sorted(types)))
        return found

    def asked(self, kind: Kind, asked: Any) -> list[tuple[Record, Any]]:
        """The `associations` of a create call: the other ends, each with its type.

        The kind of the other end follows from the type's id. Raises Problem, before anything is made.
        """
        found = []
        if asked is not None and not isinstance(asked, list):
            raise invalid("associations must be a list", "INVALID_ASSOCIATION")
        for one in asked or ():
            to, specs = (one.get("to"), one.get("types")) if isinstance(one, dict) else (None, None)
            if not isinstance(to, dict) or "id" not in to or not isinstance(specs, list):
                raise invalid(f"{one} is no association: it needs to.id and types", "INVALID_ASSOCIATION")
            for spec in specs:
                _category(spec)
                pair = _PAIRS.get(spec["associationTypeId"])
                if pair is None or pair[0] != kind.plural:
                    raise invalid(f"{spec} is no association of {kind.plural}", "INVALID_ASSOCIATION_TYPE")
                found.append((self._records.get(KINDS[pair[1]], str(to["id"])), spec))
        return found


def default_result(one: Record, other: Record) -> dict[str, Any]:
    """How the call for default associations answers one direction."""
    id = TYPES[one.kind.plural, other.kind.plural]
    return {
        "from": {"id": one.id},
        "to": {"id": other.id},
        "associationSpec": {"associationCategory": _OWN, "associationTypeId": id},
    }


def with_labels(found: Sequence[tuple[str, list[tuple[str, int]]]]) -> list[dict[str, Any]]:
    """How reading associations answers."""
    return [
        {
            "toObjectId": id,
            "associationTypes": [
                {"category": category, "typeId": type_id, "label": None} for category, type_id in types
            ],
        }
        for id, types in found
    ]


def _end(record: Record) -> _End:
    return record.kind.plural, record.id


def _category(spec: Any) -> str:
    if not isinstance(spec, dict) or not isinstance(spec.get("associationTypeId"), int):
        raise invalid(f"{spec} is no association type", "INVALID_ASSOCIATION_TYPE")
    category = str(spec.get("associationCategory") or _OWN)
    if category not in (_OWN, "USER_DEFINED", "INTEGRATOR_DEFINED"):
        raise invalid(f"{category} is no association category", "INVALID_ASSOCIATION_TYPE")
    return category
