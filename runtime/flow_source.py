"""Reading flows: documents checked against everything that they name, all errors at once, before anything starts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from activities.sync_flow import Flow, InboundFlow, OutboundFlow, capability_missing
from connectors.sdk.connector import Connector
from connectors.sdk.located import DocumentProblems, nearest
from connectors.sdk.mapping import Mapping as FieldMapping
from connectors.sdk.methods import Method, all_methods
from connectors.sdk.values import Page, RecordOutcome
from operations.sync.commands import COMMANDS
from operations.sync.flow import FlowDocument
from operations.sync.kinds import KINDS, known_kinds
from operations.sync.states import STATES
from operations.webhooks_out.kinds import BadKinds, checked_kinds
from runtime.yaml_source import (
    Document,
    DocumentError,
    DocumentProblem,
    Place,
    model_problems,
    read_document,
    validate,
)

SHIPPED = Path(__file__).parents[1] / "flows"
_SOURCE = re.compile(r"(?P<what>webhook|[a-z_]+\.[a-z_]+) (?P<rest>[^\s].*)")


class FlowErrors(ValueError):
    """Flows that cannot be used: everything that is wrong with any of their files. Nothing of them is used then."""

    def __init__(self, errors: Sequence[DocumentError]) -> None:
        self.errors = list(errors)
        super().__init__("\n".join(str(error) for error in errors))

    @property
    def count(self) -> int:
        """How many problems there are."""
        return sum(len(error.problems) for error in self.errors)


@dataclass(frozen=True)
class FlowShelf:
    """Flows that are sound, by name. files: where each was read from."""

    flows: Mapping[str, Flow] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)

    def names_for(self, connector: type[Connector[Any]]) -> Collection[str]:
        """The flows that a connector can carry out: it has the capability that they name."""
        return [name for name, flow in self.flows.items() if not lacking(connector, flow)]


def lacking(connector: type[Connector[Any]], flow: Flow) -> list[str]:
    """The capabilities that a connector would need for a flow and does not have."""
    method = flow.method if isinstance(flow, OutboundFlow) else flow.pull
    return capability_missing(connector, [method] if method else [])


def read_flows(folders: Iterable[Path] = (SHIPPED,)) -> FlowShelf:
    """The flows of all `*.yaml` files in the folders; a later folder's flow takes the place of an earlier one of the
    same name. Raises FlowErrors with everything that is wrong with any of them."""
    flows: dict[str, Flow] = {}
    files: dict[str, Path] = {}
    errors: list[DocumentError] = []
    for folder in folders:
        here: dict[str, Path] = {}
        for file in sorted(folder.glob("*.yaml")):
            try:
                flow = read_flow(file)
            except DocumentError as error:
                errors.append(error)
                continue
            name = flow.document.name
            if name in here:
                message = f"{name!r} is the name of {here[name].name}, too; give one of them another"
                errors.append(DocumentError(file, [DocumentProblem(None, "name", message)]))
            here[name] = files[name] = file
            flows[name] = flow
    if errors:
        raise FlowErrors(errors)
    return FlowShelf(flows, files)


def read_flow(file: Path, known: Collection[str] | None = None) -> Flow:
    """The flow of a file. known: the names of the other system's fields, where they are to be checked, too. Raises
    DocumentError with every problem found."""
    document = read_document(file)
    try:
        read = validate(document, FlowDocument)
    except ValidationError as error:
        raise DocumentError(file, model_problems(document, error, FlowDocument)) from None
    reading = _Reading(document, read, known)
    flow = reading.outbound() if read.outbound else reading.inbound()
    if flow is None or reading.problems:
        raise DocumentError(file, reading.problems)
    return flow


class _Reading:
    """One flow being checked against what it names."""

    def __init__(self, document: Document, flow: FlowDocument, known: Collection[str] | None) -> None:
        self.problems: list[DocumentProblem] = []
        self._document = document
        self._flow = flow
        self._known = known

    def outbound(self) -> Flow | None:
        """A flow that tells others; None where something is wrong."""
        state = STATES[self._flow.state or ""]
        self._check_kinds(state.events)
        self._check_where(state.model)
        method = self._method(self._flow.to or "", ("to",))
        if method is None:
            self._mapping(state.model, None)
            return None
        if not method.write:
            self._wrong(("to",), f"{method.name} only asks; name a method that writes")
            return None
        record, batched = record_of(method)
        if record is None:
            self._wrong(("to",), f"{method.name} takes nothing that a map could make")
            return None
        if batched and self._flow.once:
            self._wrong(
                ("once",), f"{method.name} brings records to a state; `once` is for calls like mail.send"
            )
        mapping = self._mapping(state.model, record)
        kind = self._flow.map.get("kind")
        constant = kind.get("const") if isinstance(kind, dict) else None
        if mapping is None or self.problems:
            return None
        return OutboundFlow(self._flow, method, record, batched, mapping, constant)

    def inbound(self) -> Flow | None:
        """A flow that is told by others; None where something is wrong."""
        command = COMMANDS.get(self._flow.command or "")
        if command is None:
            self._wrong(
                ("command",),
                f"there is no command {self._flow.command!r}; {nearest(self._flow.command or '', COMMANDS)}",
            )
        target = command.model if command else None
        found = _SOURCE.fullmatch(self._flow.source or "")
        if found is None:
            self._wrong(
                ("from",),
                "write `webhook KIND`, or a method and what it is asked for, as in crm.changes contact",
            )
            return None
        if found["what"] == "webhook":
            mapping = self._mapping(None, target)
            if mapping is None or command is None or self.problems:
                return None
            return InboundFlow(self._flow, command, mapping, webhook=found["rest"])
        method = self._method(found["what"], ("from",))
        item = _item_of(method) if method else None
        mapping = self._mapping(item, target)
        arguments = self._arguments(method, found["rest"].split()) if method else None
        if mapping is None or command is None or method is None or arguments is None or self.problems:
            return None
        return InboundFlow(self._flow, command, mapping, method, arguments)

    def _check_kinds(self, told_by: Sequence[str]) -> None:
        for no, pattern in enumerate(self._flow.on or ()):
            try:
                checked_kinds([pattern])
            except BadKinds as error:
                self._wrong(("on", no), str(error))
                continue
            kinds = known_kinds(pattern)
            if not kinds:
                self._wrong(("on", no), f"there are no events {pattern!r}; {nearest(pattern, KINDS)}")
            elif strange := [kind for kind in kinds if kind.partition(".")[0] not in told_by]:
                self._wrong(
                    ("on", no),
                    f"{strange[0]} does not tell of a {self._flow.state}; those that do begin with "
                    f"{', '.join(told_by)}",
                )

    def _check_where(self, state: type[BaseModel]) -> None:
        for name in self._flow.where:
            if name not in state.model_fields:
                self._wrong(
                    ("where", name),
                    f"a {self._flow.state} has no field {name!r}; {nearest(name, state.model_fields)}",
                )

    def _method(self, name: str, place: Place) -> Method | None:
        methods = all_methods()
        if name in methods:
            return methods[name]
        capability, _, function = name.partition(".")
        capabilities = {known.partition(".")[0] for known in methods}
        if capability not in capabilities:
            self._wrong(place, f"there is no capability {capability!r}; {nearest(capability, capabilities)}")
        else:
            there = [known.partition(".")[2] for known in methods if known.startswith(f"{capability}.")]
            self._wrong(place, f"{capability} has no method {function!r}; {nearest(function, there)}")
        return None

    def _arguments(self, method: Method, words: Sequence[str]) -> tuple[Any, ...] | None:
        """What is said behind a method, as its first arguments; the last one is the cursor."""
        adapters = list(method.parameters.items())
        if len(adapters) != len(words) + 1 or adapters[-1][0] != "cursor":
            self._wrong(("from",), f"{method.name} is asked with {', '.join(n for n, _ in adapters[:-1])}")
            return None
        found = []
        for (name, adapter), word in zip(adapters, words, strict=False):
            try:
                found.append(adapter.validate_python(word))
            except ValidationError as error:
                self._wrong(("from",), f"{word!r} is no {name}: {error.errors(include_url=False)[0]['msg']}")
                return None
        return tuple(found)

    def _mapping(self, source: type[BaseModel] | None, target: type[BaseModel] | None) -> FieldMapping | None:
        try:
            return FieldMapping.load(
                self._flow.map,
                tables=self._flow.tables,
                drift=self._flow.drift,
                source=source,
                target=target,
                known=self._known,
            )
        except DocumentProblems as error:
            for problem in error.problems:
                self._wrong(problem.place, problem.message)
            return None

    def _wrong(self, place: Place, message: str) -> None:
        self.problems.append(self._document.problem(place, message))


def record_of(method: Method) -> tuple[type[BaseModel] | None, bool]:
    """What a write takes: the model of its first parameter, and whether it takes many with an outcome for each."""
    hints = get_type_hints(getattr(method.capability, method.function))
    given = hints[next(iter(method.parameters))]
    if get_origin(given) is not None and issubclass(get_origin(given), Sequence):
        record = get_args(given)[0]
        return (record, True) if hints["return"] == list[RecordOutcome] else (None, True)
    return (given, False) if isinstance(given, type) and issubclass(given, BaseModel) else (None, False)


def _item_of(method: Method) -> type[BaseModel] | None:
    """What a page of a method's answer holds."""
    answer = get_type_hints(getattr(method.capability, method.function))["return"]
    if isinstance(answer, type) and issubclass(answer, Page):
        item = get_args(answer.model_fields["items"].annotation)[0]
        return item if isinstance(item, type) else None
    return None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a flow's document, for editors."""
    return TypeAdapter(FlowDocument).json_schema(by_alias=True)
