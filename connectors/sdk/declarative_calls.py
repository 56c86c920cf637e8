"""One method of a declarative connector, carried out: the request made, sent, and its answer read."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from connectors.sdk.connector import Connector
from connectors.sdk.errors import Rejected, Transient, Unknown
from connectors.sdk.http_client import HttpClient, Reply
from connectors.sdk.key import Key
from connectors.sdk.mapping import Drift
from connectors.sdk.mapping import Mapping as FieldMapping
from connectors.sdk.values import RecordOutcome, RecordStatus

WRAPPED = "value"  # under which an expression that stands alone is kept in a map


@dataclass(frozen=True)
class Part:
    """A part of a request or answer that is made of another: a block, or one expression."""

    mapping: FieldMapping = field(repr=False)
    alone: bool

    def of(self, given: Any) -> Any:
        """What it makes of JSON. Raises ValueError, without what was given, where it does not fit."""
        made = self.mapping.apply(given)
        if isinstance(made, Drift):
            raise ValueError(str(made))
        return made[WRAPPED] if self.alone else dict(made)


@dataclass(frozen=True)
class Call:
    """A method, compiled. named: the method's parameters by name, where it takes no single record."""

    verb: str
    path: str
    places: Mapping[str, Part]
    query: Part | None
    body: Part | None
    form: Part | None
    sends_all: bool
    answer: Part | None
    nothing: frozenset[int]
    each: bool
    sends_key: bool
    parameters: Mapping[str, TypeAdapter[Any]]
    record: bool
    reads: TypeAdapter[Any]

    async def run(self, client: HttpClient, arguments: Mapping[str, Any], key: Key | None) -> Any:
        """Send what the arguments say and read the answer. Raises ConnectorError."""
        if self.each:
            (records,) = arguments.values()
            return await self._one_by_one(client, records, key)
        return self._parsed(client, *await self._send(client, self._given(arguments), key))

    def _given(self, arguments: Mapping[str, Any]) -> Any:
        shown = {
            name: self.parameters[name].dump_python(value, mode="json") for name, value in arguments.items()
        }
        return next(iter(shown.values())) if self.record else shown

    async def _send(self, client: HttpClient, given: Any, key: Key | None) -> tuple[Reply, Any]:
        request: dict[str, Any] = {"passing": self.nothing}
        try:
            request["path"] = {name: part.of(given) for name, part in self.places.items()}
            if self.query is not None:
                request["params"] = self.query.of(given)
            if self.form is not None:
                request["form"] = self.form.of(given)
            elif self.body is not None:
                request["json"] = self.body.of(given)
            elif self.sends_all:
                request["json"] = given
        except ValueError as error:
            raise Rejected(f"{self.verb} {self.path} cannot be made: {error}", code="unmappable") from None
        if self.sends_key and key is not None:
            request["key"] = key
        send: Callable[..., Awaitable[Reply]] = getattr(client, self.verb.lower())
        reply = await send(self.path, **request)
        if reply.status in self.nothing or not reply.content.strip():
            return reply, None
        return reply, reply.json

    def _parsed(self, client: HttpClient, reply: Reply, found: Any) -> Any:
        try:
            if self.answer is not None and found is not None:
                found = self.answer.of(found)
            return self.reads.validate_json(json.dumps(found))
        except ValidationError as error:
            kinds = ", ".join(
                f"{'.'.join(map(str, each['loc'])) or 'the body'} ({each['type']})" for each in error.errors()
            )
        except ValueError as error:
            kinds = str(error)
        raise client.sender.unreadable(reply._answer, kinds)

    async def _one_by_one(self, client: HttpClient, records: Any, key: Key | None) -> list[RecordOutcome]:
        """Records one after the other. What stops the first is raised; a later one that is stopped, and all behind it,
        may simply be sent again."""
        outcomes: list[RecordOutcome] = []
        for place, record in enumerate(records):
            given = json.loads(record.model_dump_json())
            try:
                _, found = await self._send(client, given, _own(key, given))
            except Rejected as error:
                if error.blame == "configuration":
                    raise
                outcomes.append(_rejected(given["key"], error))
                continue
            except (Transient, Unknown) as error:
                if not outcomes:
                    raise
                outcomes += [_later(each.key, error.message) for each in records[place:]]
                break
            made = self.answer.of(found) if self.answer is not None and found is not None else {}
            vendor_id = made.get("vendor_id") if isinstance(made, dict) else made
            outcomes.append(
                RecordOutcome(
                    key=given["key"],
                    status=RecordStatus.WRITTEN,
                    vendor_id=None if vendor_id is None else str(vendor_id),
                )
            )
        return outcomes


def _own(key: Key | None, record: Mapping[str, Any]) -> Key | None:
    """The key of one record of a batch: the same for the same record in the same batch."""
    if key is None:
        return None
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:24]
    return Key(f"{key.within(150)}:{digest}")


def _rejected(key: str, error: Rejected) -> RecordOutcome:
    return RecordOutcome(
        key=key, status=RecordStatus.REJECTED, code=error.code, message=error.message, fields=error.fields
    )


def _later(key: str, message: str) -> RecordOutcome:
    return RecordOutcome(key=key, status=RecordStatus.RETRY, message=message)


def method_of(call: Call, signature: inspect.Signature) -> Callable[..., Awaitable[Any]]:
    """The coroutine function of a call, as a class has it."""

    async def method(self: Connector[Any], *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        arguments = dict(list(bound.arguments.items())[1:])
        key = arguments.pop("key", None)
        return await call.run(self.http, arguments, key)  # type: ignore[attr-defined]

    return method


def python_method(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A named function as a method: it is given the connector and what the method is given."""

    async def method(self: Connector[Any], *args: Any, **kwargs: Any) -> Any:
        return await function(self, *args, **kwargs)

    return method
