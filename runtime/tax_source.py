"""Reading the block `tax:` of masthead.yaml: which connection taxes what is billed, in live and in test mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activities.tax_orders import TaxUse, WhenAway
from connectors.sdk.capabilities.tax import TaxEngine
from connectors.sdk.connector import Connector
from connectors.sdk.values import Address
from runtime.connection_words import close_to
from runtime.yaml_source import Document, DocumentProblem, Place, read_document

MODES = ("live", "test")


class _Seller(BaseModel):
    """Where is sold from."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = Field(min_length=2, max_length=2)


class _Use(BaseModel):
    """The use of a connection, as written."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    connection: str
    seller: _Seller
    when_away: Literal["wait", "fallback"] = "wait"
    codes: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """What is known of a connection that may be named. connector: None where it could not be read."""

    connector: type[Connector[Any]] | None
    mode: str
    enabled: bool


@dataclass(slots=True)
class TaxReading:
    """The block as read: the uses by mode, or what is wrong. connections: those that may be named; None where that
    was checked before."""

    document: Document
    content: Any
    connections: Mapping[str, ConnectionFacts] | None
    problems: list[DocumentProblem] = field(default_factory=list)
    uses: dict[str, TaxUse] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.content, dict):
            self._wrong((), "must be a block with live: or test:, each with a connection")
            return
        for mode, entry in self.content.items():
            if mode not in MODES:
                self._wrong((mode,), f"is not a mode; {close_to(str(mode), MODES, 'there are')}")
                continue
            try:
                use = _Use.model_validate(entry)
            except ValidationError as error:
                for found in error.errors(include_url=False, include_input=False):
                    self._wrong((mode, *found["loc"]), _words(found["type"], found["loc"], found["msg"]))
                continue
            self._check(mode, use)
            self.uses[mode] = TaxUse(
                use.connection,
                Address.model_validate(use.seller.model_dump()),
                WhenAway(use.when_away),
                use.codes,
            )

    def _wrong(self, place: Place, message: str) -> None:
        self.problems.append(self.document.problem(("tax", *place), message))

    def _check(self, mode: str, use: _Use) -> None:
        if self.connections is None:
            return
        place = (mode, "connection")
        known = self.connections.get(use.connection)
        if known is None:
            near = close_to(use.connection, self.connections, "there are")
            self._wrong(place, f"no connection is called {use.connection!r}; {near}")
        elif not known.enabled:
            self._wrong(place, f"{use.connection} is disabled: take enabled: false away there, or this block")
        elif known.connector is not None and not issubclass(known.connector, TaxEngine):
            self._wrong(place, f"{use.connection} is no tax engine: its connector lacks the capability tax")
        elif mode == "test" and known.mode != "test":
            self._wrong(
                place, f"what is billed in test mode goes to no live system, and {use.connection} is one"
            )


def read_taxing(file: Path) -> dict[str, TaxUse]:
    """The tax engines of a file whose connections have been read and found right, by mode."""
    document = read_document(file)
    return TaxReading(document, document.content.get("tax", {}), None).uses


def _words(kind: str, place: tuple[int | str, ...], said: str) -> str:
    if kind == "missing":
        return {
            "connection": "is missing: the name of a connection that has the capability tax",
            "seller": "is missing: the address that is sold from, with a country at least",
        }.get(str(place[-1]), "is missing; it is required")
    if kind == "extra_forbidden":
        fields = _Seller.model_fields if place[0] == "seller" else _Use.model_fields
        return "is not a field here; " + close_to(str(place[-1]), fields, "there are")
    if place[0] == "when_away":
        return "must be wait (bill when the engine is back) or fallback (bill by the built-in table)"
    return said
