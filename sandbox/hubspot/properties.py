"""Which properties each kind of object has, and which values they take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.hubspot.errors import Problem, invalid, unknown_property

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_SHOWN = ("createdate", "hs_lastmodifieddate", "hs_object_id")
_READ_ONLY = frozenset({*_SHOWN, "lastmodifieddate"})


@dataclass(frozen=True)
class Kind:
    """A kind of object: its name in paths, alone, its type id, and what an answer shows when nothing is asked for."""

    plural: str
    singular: str
    type_id: str
    shown: tuple[str, ...]


KINDS = {
    kind.plural: kind
    for kind in (
        Kind(
            "contacts", "contact", "0-1", ("createdate", "email", "firstname", "lastmodifieddate", "lastname")
        ),
        Kind("companies", "company", "0-2", ("createdate", "domain", "hs_lastmodifieddate", "name")),
        Kind(
            "deals", "deal", "0-3", ("amount", "closedate", "createdate", "dealname", "dealstage", "pipeline")
        ),
        Kind(
            "products",
            "product",
            "0-7",
            ("createdate", "description", "hs_lastmodifieddate", "name", "price"),
        ),
        Kind("line_items", "line_item", "0-8", ("createdate", "hs_product_id", "name", "price", "quantity")),
    )
}

_TEXT = {
    "contacts": "firstname lastname phone mobilephone company website address city state zip country jobtitle "
    "lifecyclestage hs_lead_status hs_language hs_timezone salutation hubspot_owner_id",
    "companies": "name domain phone address city state zip country industry website description lifecyclestage "
    "hubspot_owner_id",
    "deals": "dealname dealstage pipeline closedate dealtype description deal_currency_code hubspot_owner_id",
    "products": "name description hs_sku hs_product_type recurringbillingfrequency hs_recurring_billing_period hs_url",
    "line_items": "name description hs_sku hs_product_id recurringbillingfrequency hs_recurring_billing_period "
    "hs_line_item_currency_code hs_recurring_billing_start_date",
}
_NUMBERS = {
    "contacts": "",
    "companies": "numberofemployees annualrevenue",
    "deals": "amount hs_mrr hs_arr hs_tcv",
    "products": "price hs_cost_of_goods_sold tax",
    "line_items": "price quantity amount discount tax",
}


def kind_named(name: str) -> Kind:
    """The kind of this path name: plural, singular or type id. Raises Problem (400)."""
    for kind in KINDS.values():
        if name.lower() in (kind.plural, kind.singular, kind.type_id):
            return kind
    raise Problem(400, "VALIDATION_ERROR", f"Unable to infer object type from: {name}")


@dataclass(frozen=True)
class Property:
    """One property: its type (string, number, date, datetime, enumeration, bool) and whether its values are unique."""

    name: str
    type: str = "string"
    unique: bool = False
    label: str = ""
    group: str = ""
    field_type: str = "text"
    own: bool = True

    def as_json(self) -> dict[str, Any]:
        """A property as HubSpot answers it."""
        return {
            "name": self.name,
            "label": self.label or self.name,
            "type": self.type,
            "fieldType": self.field_type,
            "groupName": self.group,
            "description": "",
            "options": [],
            "hasUniqueValue": self.unique,
            "hubspotDefined": not self.own,
            "archived": False,
        }


class Properties:
    """The properties of one portal: HubSpot's own and those that were added."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, Property]] = {plural: _defined(plural) for plural in KINDS}

    def of(self, kind: Kind) -> Mapping[str, Property]:
        """All properties of a kind, by name."""
        return self._of[kind.plural]

    def add(self, kind: Kind, added: Property) -> Property:
        """Define one more. Raises Problem (409) when the name is taken."""
        if added.name in self._of[kind.plural]:
            raise Problem(409, "OBJECT_ALREADY_EXISTS", f"A property named '{added.name}' already exists.")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", added.name):
            raise invalid(f"{added.name!r} is no property name", "INVALID_NAME", propertyName=added.name)
        self._of[kind.plural][added.name] = added
        return added

    def unique(self, kind: Kind) -> list[str]:
        """Names of the properties whose values are unique."""
        return [found.name for found in self.of(kind).values() if found.unique]

    def checked(self, kind: Kind, values: Any) -> dict[str, str]:
        """Values for an object, all of them text and of properties that exist. Raises Problem."""
        if not isinstance(values, dict):
            raise invalid("properties must be an object of strings", "INVALID_PROPERTIES")
        for name, value in values.items():
            if name not in self.of(kind):
                raise unknown_property(name)
            self._check_value(self.of(kind)[name], value)
        return dict(values)

    def _check_value(self, defined: Property, value: Any) -> None:
        name = defined.name
        if not isinstance(value, str):
            raise invalid(
                f"Property {name!r}: values are strings, not {type(value).__name__}",
                "NOT_A_STRING",
                propertyName=name,
            )
        if name in _READ_ONLY:
            raise invalid(f'"{name}" is a read only property', "READ_ONLY_VALUE", propertyName=name)
        if name == "email" and value and not _EMAIL.fullmatch(value):
            raise invalid(f"Email address {value} is invalid", "INVALID_EMAIL", propertyName=name)
        if defined.type == "number" and value and not _NUMBER.fullmatch(value):
            raise invalid(f"{value} was not a valid number.", "INVALID_LONG", propertyName=name)


def shown(kind: Kind, asked: list[str]) -> list[str]:
    """Names that an answer carries: those that are always there, and those asked for or else the kind's usual ones."""
    return list(dict.fromkeys((*_SHOWN, *(asked or kind.shown))))


def _defined(plural: str) -> dict[str, Property]:
    group = f"{KINDS[plural].singular}information"
    made = [Property(name, group=group, own=False) for name in _TEXT[plural].split()]
    made += [
        Property(name, "number", group=group, field_type="number", own=False)
        for name in _NUMBERS[plural].split()
    ]
    made += [
        Property(name, "datetime", group=group, field_type="date", own=False) for name in sorted(_READ_ONLY)
    ]
    if plural == "contacts":
        made.append(Property("email", unique=True, group=group, own=False))
    return {one.name: one for one in made}
