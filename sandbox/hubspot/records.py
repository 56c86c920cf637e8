"""The objects of the CRM, their unique values, and what a search sees of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sandbox.hubspot.errors import Problem, invalid, missing
from sandbox.hubspot.properties import Kind, Properties, shown


class Watcher(Protocol):
    """Who is told of each change. `key` is what the object is known by: the id property's value of an upsert."""

    def created(self, record: Record, key: str, source: str) -> None:
        """An object was made."""

    def changed(self, record: Record, key: str, changes: Mapping[str, str], source: str) -> None:
        """Properties got other values."""

    def archived(self, record: Record, source: str) -> None:
        """An object was deleted."""


@dataclass
class Record:
    """One object. `versions` are its values over time, for the search."""

    id: str
    kind: Kind
    values: dict[str, str]
    created: datetime
    updated: datetime
    archived: bool = False
    versions: list[tuple[datetime, dict[str, str]]] = field(default_factory=list)
    indexed: list[tuple[str, str, str]] = field(default_factory=list)

    def all_values(self) -> dict[str, str]:
        """Its values with those that HubSpot keeps itself."""
        at = _iso(self.updated)
        kept = {"createdate": _iso(self.created), "hs_lastmodifieddate": at, "lastmodifieddate": at}
        return {**self.values, **kept, "hs_object_id": self.id}

    def as_json(self, asked: list[str]) -> dict[str, Any]:
        """As HubSpot answers it; a value that is not set is null."""
        values = self.all_values()
        return {
            "id": self.id,
            "properties": {name: values.get(name) or None for name in shown(self.kind, asked)},
            "createdAt": _iso(self.created),
            "updatedAt": _iso(self.updated),
            "archived": self.archived,
        }

    def as_of(self, instant: datetime) -> dict[str, str] | None:
        """Its values at an earlier instant; None before it existed."""
        seen = [values for at, values in self.versions if at <= instant]
        return seen[-1] if seen else None


class Records:
    """All objects of one portal."""

    def __init__(self, properties: Properties, now: Callable[[], datetime], watcher: Watcher) -> None:
        self._properties = properties
        self._now = now
        self._watcher = watcher
        self._by_id: dict[tuple[str, str], Record] = {}
        self._unique: dict[tuple[str, str, str], str] = {}
        self._ids = itertools.count(101)

    def all(self, kind: Kind) -> list[Record]:
        """Objects of a kind that are not archived, oldest first."""
        return [one for (plural, _), one in self._by_id.items() if plural == kind.plural and not one.archived]

    def find(self, kind: Kind, id: str, id_property: str | None = None) -> Record | None:
        """The object of this id, or of this value of a unique property; None when there is none."""
        if id_property and id_property != "hs_object_id":
            self.check_id_property(kind, id_property)
            id = self._unique.get((kind.plural, id_property, _alike(id)), "")
        found = self._by_id.get((kind.plural, id))
        return None if found is None or found.archived else found

    def get(self, kind: Kind, id: str, id_property: str | None = None) -> Record:
        """The same; Problem (404) when there is none."""
        found = self.find(kind, id, id_property)
        if found is None:
            raise missing(kind.singular, id)
        return found

    def check_id_property(self, kind: Kind, name: str) -> None:
        """Problem (400) unless this property's values are unique."""
        if name not in self._properties.unique(kind):
            raise invalid(
                f"Property '{name}' is not a unique property of {kind.plural}",
                "INVALID_ID_PROPERTY",
                propertyName=name,
            )

    def create(self, kind: Kind, given: Any, key: str = "", source: str = "INTEGRATION") -> Record:
        """Make an object. Problem: 400 for bad values, 409 for a unique value that another object has."""
        values = self._properties.checked(kind, given)
        self._keep_unique(kind, values, None)
        now = self._now()
        made = Record(str(next(self._ids)), kind, values, now, now)
        self._by_id[kind.plural, made.id] = made
        self._index(made)
        self._watcher.created(made, key or self.key(made), source)
        return made

    def update(self, record: Record, given: Any, source: str = "INTEGRATION") -> Record:
        """Set some values; empty text clears one. Problem as for create."""
        values = self._properties.checked(record.kind, given)
        changes = {name: value for name, value in values.items() if record.values.get(name, "") != value}
        self._keep_unique(record.kind, changes, record)
        if not changes:
            return record
        key = self.key(record)
        record.values = {name: value for name, value in {**record.values, **changes}.items() if value}
        record.updated = self._now()
        self._index(record)
        self._watcher.changed(record, key, changes, source)
        return record

    def archive(self, record: Record, source: str = "INTEGRATION") -> None:
        """Delete it: its unique values are free again."""
        record.archived = True
        record.updated = self._now()
        self._forget(record)
        self._watcher.archived(record, source)

    def key(self, record: Record) -> str:
        """What it is known by: the first unique value that it has, added properties first; else its id."""
        names = self._properties.unique(record.kind)
        own = [name for name in names if self._properties.of(record.kind)[name].own]
        values = (record.values.get(name) for name in (*own, *names))
        return next((value for value in values if value), record.id)

    def _keep_unique(self, kind: Kind, values: Mapping[str, str], record: Record | None) -> None:
        for name in self._properties.unique(kind):
            value = values.get(name)
            owner = self._unique.get((kind.plural, name, _alike(value))) if value else None
            if owner is not None and (record is None or owner != record.id):
                text = f"{kind.singular.capitalize()} already exists. Existing ID: {owner}"
                raise Problem(409, "CONFLICT", text, context={"existingId": [owner], "propertyName": [name]})

    def _index(self, record: Record) -> None:
        self._forget(record)
        for name in self._properties.unique(record.kind):
            if record.values.get(name):
                entry = (record.kind.plural, name, _alike(record.values[name]))
                self._unique[entry] = record.id
                record.indexed.append(entry)
        record.versions.append((record.updated, record.all_values()))

    def _forget(self, record: Record) -> None:
        for entry in record.indexed:
            self._unique.pop(entry, None)
        record.indexed.clear()


def _alike(value: str) -> str:
    """Unique values differ by more than case."""
    return value.strip().lower()


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"
