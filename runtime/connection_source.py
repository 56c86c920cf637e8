"""Reading masthead.yaml: the connections to other systems, checked as a whole before anything starts.

What somebody wrote into a configuration may be a secret in the wrong place: no message repeats it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from connectors.sdk.config import Config, MissingSecret
from connectors.sdk.connector import Connector
from connectors.sdk.context import Mode
from connectors.sdk.guard import Refused, check_url, is_loopback_host
from connectors.sdk.memory import EnvSecrets
from connectors.sdk.ports import Rate, Secrets
from connectors.sdk.registry import Installed, installed
from runtime.connection_words import close_to, config_problems
from runtime.connector_source import connector_files
from runtime.tax_source import ConnectionFacts, TaxReading
from runtime.yaml_source import (
    Document,
    DocumentError,
    DocumentProblem,
    Place,
    model_problems,
    read_document,
)

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_RATE = re.compile(r"(\d{1,9}) ?(?:/|per) ?(\d{1,6})? ?(s|min|h|day)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "day": 86_400}
_NOWHERE = {"http": "http://127.0.0.1:9", "smtp": "smtp://127.0.0.1:9"}
_HOST_FIELDS = frozenset({"host", "hostname", "server"})

Flows = Callable[[type[Connector[Any]]], Collection[str]]
AddressOf = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """A connection as configured. config: None where the sandbox that it points to does not run.

    rate and timeout (seconds for a whole call) override the connector's own. flows: names of what is synchronized.
    """

    name: str
    connector: type[Connector[Any]]
    mode: Mode
    config: Config | None
    rate: Rate | None = None
    timeout: float | None = None
    flows: tuple[str, ...] = ()
    enabled: bool = True
    sandbox: bool = False

    @property
    def allow_loopback(self) -> bool:
        """Whether its addresses may be on this machine."""
        return self.mode == "test"

    @property
    def fingerprint(self) -> str:
        """A digest of what is configured, secrets as their references."""
        config = {} if self.config is None else self.config.model_dump(mode="json")
        text = json.dumps([self.connector.name, self.mode, config], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a file of connections is checked against.

    installed: answers the connectors there are, those of the given files among them; of the others it may leave out
    those that are not named, unless a name is nobody's. sandbox: gives the address of a
    connector's stand-in, None while no sandbox runs; raises LookupError saying which there are. flows: the names of
    flows that a connector knows; None leaves them unchecked.
    """

    installed: Callable[[Sequence[Path], frozenset[str]], Sequence[Installed]] = field(
        default=lambda files, names: installed_of(files, names)
    )
    secrets: Secrets = field(default_factory=EnvSecrets)
    sandbox: AddressOf | None = None
    flows: Flows | None = None


class _Entry(BaseModel):
    """One connection as written."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    connector: str
    mode: Literal["live", "test"]
    enabled: bool = True
    sandbox: bool = False
    rate: str | None = None
    timeout: float | None = None
    flows: list[str] = []
    config: dict[str, Any] = {}


class _File(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    format: Literal["masthead.config/1"] = "masthead.config/1"
    connectors: list[str] = []  # files of declarative connectors, beside those in the folder connectors/
    connections: dict[str, Any] = {}
    tax: dict[str, Any] = {}


def read_connections(file: Path, surroundings: Surroundings) -> dict[str, ConnectionSpec]:
    """The connections of `file` by name, in its order. Raises DocumentError with every problem found."""
    document = read_document(file)
    try:
        content = _File.model_validate(document.content)
    except ValidationError as error:
        raise DocumentError(file, model_problems(document, error, _File, _top_level)) from None
    entries = [entry for entry in content.connections.values() if isinstance(entry, dict)]
    names = frozenset(str(entry["connector"]) for entry in entries if "connector" in entry)
    connectors = _Connectors(document, content.connectors, names, surroundings)
    readings = [
        _Reading(document, name, entry, surroundings, connectors)
        for name, entry in content.connections.items()
    ]
    tax = TaxReading(document, content.tax, {reading.name: reading.facts for reading in readings})
    problems = [*connectors.problems, *(problem for reading in readings for problem in reading.problems)]
    problems += tax.problems
    if problems:
        raise DocumentError(file, problems)
    return {reading.name: reading.spec for reading in readings if reading.spec is not None}


def parsed_rate(text: str) -> Rate:
    """`10/s`, `100/10s`, `600/min`, `1000/h` or `100000/day` as a rate. Raises ValueError."""
    found = _RATE.fullmatch(text.strip())
    if found is None or int(found[1]) < 1 or found[2] in ("0", "00"):
        raise ValueError("write calls per time, as in 10/s, 100/10s, 600/min, 1000/h or 100000/day")
    return Rate(int(found[1]), per=float(int(found[2] or 1) * _SECONDS[found[3]]))


def installed_of(files: Sequence[Path], names: frozenset[str]) -> list[Installed]:
    """The connectors called `names` and those of the files, without importing others; all where a name is nobody's."""
    found = installed(files, names)
    return found if names <= {each.name for each in found} else installed(files)


class _Connectors:
    """The connectors there are, by name; `problems` with the files that the document names."""

    def __init__(
        self, document: Document, files: Sequence[str], names: frozenset[str], surroundings: Surroundings
    ) -> None:
        named = [document.file.parent / file for file in files]
        self.problems = [
            document.problem(
                ("connectors", no), "there is no such file; the path is followed from this folder"
            )
            for no, path in enumerate(named)
            if not path.is_file()
        ]
        paths = connector_files(document.file, [path for path in named if path.is_file()])
        self.all = list(surroundings.installed(paths, names))
        self.usable = {each.name: each.connector for each in self.all if each.connector is not None}
        of_files = {f"file {path.name}": path for path in paths}
        for each in self.all:
            if each.problem is not None and (path := of_files.get(each.origin)) is not None:
                place = ("connectors", named.index(path)) if path in named else ()
                self.problems.append(document.problem(place, f"{each.origin}: {each.problem}"))

    def trouble(self, name: str) -> str | None:
        """What is wrong with the connector called `name`; None for one that can be used."""
        if name in self.usable:
            return None
        for each in self.all:
            if each.name == name:
                return f"connector {name} ({each.origin}) cannot be used: {each.problem}"
        return (
            f"no connector is called {name!r}; {close_to(name, self.usable, 'installed are')}"
            " (`masthead connectors list` shows them)"
        )


@dataclass(slots=True)
class _Reading:
    """One connection being read: what is wrong with it and, where nothing is, the connection."""

    document: Document
    name: str
    entry: Any
    surroundings: Surroundings
    connectors: _Connectors
    problems: list[DocumentProblem] = field(default_factory=list)
    spec: ConnectionSpec | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            self._wrong(
                (), "a connection's name has lower-case letters, digits, - and _, and begins with a letter"
            )
        if not isinstance(self.entry, dict):
            self._wrong((), "must be a block of fields: connector, mode and config")
            return
        entry, wrong = self._own_fields()
        connector = self._connector()
        rate, config = self._rate(), None
        if connector is not None:
            config = self._config(connector)
            self._check_flows(connector)
        if entry is None or connector is None or self.problems or wrong:
            return
        self.spec = ConnectionSpec(
            name=self.name,
            connector=connector,
            mode=entry.mode,
            config=config,
            rate=rate,
            timeout=entry.timeout,
            flows=tuple(entry.flows),
            enabled=entry.enabled,
            sandbox=entry.sandbox,
        )

    @property
    def facts(self) -> ConnectionFacts:
        """What others may know of it, whether or not all of it is right."""
        entry = self.entry if isinstance(self.entry, dict) else {}
        connector = self.connectors.usable.get(str(entry.get("connector")))
        return ConnectionFacts(connector, str(entry.get("mode")), entry.get("enabled") is not False)

    @property
    def _sandbox(self) -> bool:
        return self.entry.get("sandbox") is True

    @property
    def _enabled(self) -> bool:
        return self.entry.get("enabled") is not False

    def _wrong(self, place: Place, message: str) -> None:
        self.problems.append(self.document.problem(("connections", self.name, *place), message))

    def _own_fields(self) -> tuple[_Entry | None, bool]:
        """The fields beside the configuration, and whether one is wrong."""
        if self._sandbox and "mode" not in self.entry:
            self.entry["mode"] = "test"
        if self._sandbox and self.entry["mode"] == "live":
            self._wrong(
                ("mode",), "a sandbox is no live system: write mode: test, or take sandbox: true away"
            )
        try:
            entry = _Entry.model_validate(self.entry)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                self._wrong(detail["loc"], self._entry_words(detail["type"], detail["loc"], detail["msg"]))
            return None, True
        if entry.timeout is not None and entry.timeout <= 0:
            self._wrong(("timeout",), "must be more than 0 seconds")
        return entry, False

    def _entry_words(self, kind: str, place: Place, said: str) -> str:
        where = str(place[0])
        if kind == "missing":
            more = {"mode": ": live or test", "connector": ": the name of an installed connector"}
            return f"is missing; it is required{more.get(where, '')}"
        if kind == "extra_forbidden":
            connector = self.connectors.usable.get(str(self.entry.get("connector")))
            if connector is not None and where in connector.Config.model_fields:
                return f"is a field of the configuration: put it under config: of {self.name}"
            return "is not a field here; " + close_to(where, _Entry.model_fields, "there are")
        words = {
            "connector": "must be the name of an installed connector",
            "mode": "must be live or test",
            "enabled": "must be true or false",
            "sandbox": "must be true or false",
            "rate": "write calls per time, as in 10/s",
            "timeout": "must be a number of seconds",
            "flows": "must be a list of names (lines that begin with '- ')",
            "config": "must be a block of fields",
        }
        return words.get(where, said)

    def _connector(self) -> type[Connector[Any]] | None:
        name = self.entry.get("connector")
        if not isinstance(name, str):
            return None
        if (trouble := self.connectors.trouble(name)) is not None:
            self._wrong(("connector",), trouble)
        return self.connectors.usable.get(name)

    def _rate(self) -> Rate | None:
        if not isinstance(text := self.entry.get("rate"), str):
            return None
        try:
            return parsed_rate(text)
        except ValueError as error:
            self._wrong(("rate",), str(error))
            return None

    def _check_flows(self, connector: type[Connector[Any]]) -> None:
        flows = self.entry.get("flows")
        if self.surroundings.flows is None or not isinstance(flows, list):
            return
        known = self.surroundings.flows(connector)
        for no, flow in enumerate(flows):
            if isinstance(flow, str) and flow not in known:
                self._wrong(
                    ("flows", no),
                    f"no flow of {connector.name} is called {flow!r}; {close_to(flow, known, 'there are')}",
                )

    # --- the configuration ---

    def _config(self, connector: type[Connector[Any]]) -> Config | None:
        given = self.entry.get("config", {})
        if not isinstance(given, dict) or (self._sandbox and self.entry["mode"] == "live"):
            return None
        filled = self._from_sandbox(connector) if self._sandbox else {}
        if filled is None:
            return None
        waits = self._sandbox and self.surroundings.sandbox is None  # for a sandbox that does not run yet
        try:
            config = connector.Config.model_validate({**filled, **given})
        except ValidationError as error:
            for place, message in config_problems(error, connector, given):
                self._wrong(("config", *place), message)
            return None
        if self._enabled:
            self._check_secrets(config)
        for name, message in _wrong_addresses(config, loopback=self.entry.get("mode") == "test"):
            self._wrong(("config", name), message)
        return None if waits else config

    def _from_sandbox(self, connector: type[Connector[Any]]) -> dict[str, Any] | None:
        """What the stand-in's address gives, None where there is none. While no sandbox runs, an address where nothing
        is stands for it, so that the rest can be checked."""
        try:
            if self.surroundings.sandbox is None:
                return connector.sandbox_config(_NOWHERE.get(connector.transport, _NOWHERE["http"]))
            return connector.sandbox_config(self.surroundings.sandbox(connector.name))
        except (LookupError, ValueError) as error:
            self._wrong(("sandbox",), str(error))
            return None

    def _check_secrets(self, config: Config) -> None:
        for name, secret in config.secrets().items():
            try:
                self.surroundings.secrets.resolve(secret.reference)
            except MissingSecret as error:
                self._wrong(("config", name), str(error))


def _wrong_addresses(config: Config, *, loopback: bool) -> Iterator[tuple[str, str]]:
    """Fields with an address that may not be connected to, and why."""
    for name in type(config).model_fields:
        value = str(getattr(config, name))
        scheme = value.partition("://")[0]
        try:
            if scheme in ("http", "https"):
                check_url(value, allow_loopback=loopback)
            elif name in _HOST_FIELDS and is_loopback_host(value) and not loopback:
                raise Refused("is this machine, which only a connection with mode: test may reach")
        except Refused as error:
            yield name, str(error)


def _top_level(place: Place) -> str | None:
    if len(place) == 1:
        return "is not a field here; connections stand under connections:, each with a name of its own"
    return None
