"""Declarative connectors: a document compiled to the same class that an author would write.

Expressions are JMESPath with the functions of mappings; there is no template language. Every path, capability, method
and field is checked when the document is read, all problems at once with their lines.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field, HttpUrl, ValidationError, create_model

from connectors.sdk import oauth
from connectors.sdk.auth import ApiKey, Auth, Basic, Bearer
from connectors.sdk.capabilities.capability import methods_of, writes_of
from connectors.sdk.config import Config, Secret
from connectors.sdk.connector import Connector
from connectors.sdk.declarative_calls import WRAPPED, Call, Part, method_of, python_method
from connectors.sdk.declarative_document import CallSpec, ConnectorDocument, ErrorSpec, span
from connectors.sdk.declarative_python import load_function
from connectors.sdk.error_table import ErrorRule, on
from connectors.sdk.errors import (
    Broken,
    ConnectorError,
    DefinitionError,
    RateLimited,
    Rejected,
    Transient,
    Unauthorized,
    Unknown,
)
from connectors.sdk.http import Http
from connectors.sdk.idempotency import by_find, native, never
from connectors.sdk.located import DocumentProblems, Located, Place, Problem, nearest
from connectors.sdk.mapping import Mapping as FieldMapping
from connectors.sdk.mapping_paths import ANYTHING, check, shape_of
from connectors.sdk.methods import Method, all_methods
from connectors.sdk.ports import Rate
from connectors.sdk.values import Health, RecordOutcome

_SEND = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/[^\s?#]*)")
_PLACE = re.compile(r"\{([^{}]*)\}")
_RATE = re.compile(r"(\d{1,6})/(\d{1,4})?(s|min|h)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_TYPES = {"text": str, "url": HttpUrl, "secret": Secret, "whole": int, "flag": bool}
_KINDS: dict[str, type[ConnectorError]] = {
    each.kind: each for each in (Transient, RateLimited, Unknown, Unauthorized, Rejected, Broken)
}


def compile_connector(document: Located) -> type[Connector[Any]]:
    """The connector class that a document describes. Raises DocumentProblems with everything that is wrong."""
    try:
        read = ConnectorDocument.model_validate(document.content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise DocumentProblems(
            [Problem(tuple(each["loc"]), each["msg"]) for each in found], document
        ) from None
    return _Compiler(document, read).connector()


class _Compiler:
    """One document on its way to a class; problems are collected, so that all are told at once."""

    def __init__(self, document: Located, read: ConnectorDocument) -> None:
        self._document = document
        self._read = read
        self._problems: list[Problem] = []

    def connector(self) -> type[Connector[Any]]:
        config, http = self._config(), self._http()
        body: dict[str, Any] = {"name": self._read.name, "title": self._read.title, "http": http}
        body["health"] = self._health()
        methods = self._methods()
        for name, method in methods.items():
            made = self._method(method, self._read.calls[name], ("calls", name))
            if made is not None:
                body[method.function] = made
        self._check_whole(methods)
        if self._problems:
            raise DocumentProblems(self._problems, self._document)
        capabilities = dict.fromkeys(method.capability for method in methods.values())
        name = "".join(part.capitalize() for part in self._read.name.split("-"))
        try:
            made_class: type[Connector[Any]] = types.new_class(
                name,
                (Connector[config], *capabilities),  # type: ignore[valid-type]
                exec_body=lambda namespace: namespace.update({**body, "__module__": __name__}),
            )
        except DefinitionError as error:
            raise DocumentProblems([Problem(("calls",), str(error))], self._document) from None
        return made_class

    def _note(self, place: Place, message: str) -> None:
        self._problems.append(Problem(place, message))

    # --- configuration and transport ---

    def _config(self) -> type[Config]:
        fields: dict[str, Any] = {}
        for name, spec in self._read.config.items():
            default = ... if spec.default is None else spec.default
            fields[name] = (_TYPES[spec.type], Field(default, description=spec.description or None))
        return create_model(f"{self._read.name}-config", __base__=Config, **fields)

    def _http(self) -> Http | None:
        if "://" not in self._read.base_url and self._read.base_url not in self._read.config:
            self._note(
                ("base_url",),
                f"neither a URL nor a field of config; {nearest(self._read.base_url, self._read.config)}",
            )
        errors = [
            rule for no, spec in enumerate(self._read.errors) if (rule := self._error(spec, ("errors", no)))
        ]
        auth = self._auth()
        rate = _RATE.fullmatch(self._read.rate)
        if rate is None:
            self._note(("rate",), "write calls per time, as in 10/s, 100/10s or 600/min")
            return None
        return Http(
            base=self._read.base_url,
            auth=auth,
            rate=Rate(int(rate[1]), per=float(rate[2] or 1) * _SECONDS[rate[3]]),
            errors=errors,
            key_header=self._read.key_header,
            headers=self._read.headers,
        )

    def _auth(self) -> Auth | None:
        spec = self._read.auth
        if spec is None:
            return None
        ways: list[tuple[Sequence[str], Any]] = []
        if spec.api_key:
            ways.append(
                ([spec.api_key], lambda: ApiKey(spec.api_key or "", spec.header, spec.prefix, spec.param))
            )
        if spec.bearer:
            ways.append(([spec.bearer], lambda: Bearer(spec.bearer or "")))
        if spec.basic:
            ways.append((spec.basic, lambda: Basic(*(spec.basic or ("", "")))))
        if spec.client_credentials:
            ways.append((spec.client_credentials, self._client_credentials))
        if len(ways) != 1:
            self._note(("auth",), "name one of api_key, bearer, basic and client_credentials")
            return None
        names, make = ways[0]
        for name in names:
            if name not in self._read.config:
                self._note(("auth",), f"config has no field {name!r}; {nearest(name, self._read.config)}")
        auth: Auth = make()
        return auth

    def _client_credentials(self) -> Auth | None:
        spec = self._read.auth
        if spec is None or spec.client_credentials is None or spec.token_url is None:
            self._note(("auth",), "client_credentials needs a token_url: a URL, or a field of config")
            return None
        client, secret = spec.client_credentials
        return oauth.ClientCredentials(
            token_url=spec.token_url, client_id=client, client_secret=secret, scope=spec.scope
        )

    def _error(self, spec: ErrorSpec, place: Place) -> ErrorRule | None:
        try:
            return on(
                spec.status,
                _KINDS[spec.kind],
                when=spec.when,
                code=spec.code,
                message=spec.message,
                fields=spec.fields,
                after=timedelta(seconds=spec.after_seconds) if spec.after_seconds else None,
                blame=spec.blame,
            )
        except DefinitionError as error:
            self._note(place, str(error))
            return None

    def _health(self) -> Any:
        send = _SEND.fullmatch(self._read.health)
        if send is None or send[1] != "GET":
            self._note(("health",), "write GET and a path that changes nothing, as in GET /me")
            return None
        path = send[2]

        async def health(self: Connector[Any]) -> Health:
            found: Health = await self.http.health(path)  # type: ignore[attr-defined]
            return found

        return health

    # --- methods ---

    def _methods(self) -> dict[str, Method]:
        known = all_methods()
        found = {}
        for name in self._read.calls:
            if name in known:
                found[name] = known[name]
                continue
            capability, _, method = name.partition(".")
            capabilities = {each.partition(".")[0] for each in known}
            if capability not in capabilities:
                hint = f"there is no capability {capability!r}; {nearest(capability, capabilities)}"
            else:
                there = [each.partition(".")[2] for each in known if each.startswith(f"{capability}.")]
                hint = f"{capability} has no method {method!r}; {nearest(method, there)}"
            self._note(("calls", name), hint)
        return found

    def _check_whole(self, methods: Mapping[str, Method]) -> None:
        for capability in dict.fromkeys(method.capability for method in methods.values()):
            missing = [
                f"{capability.capability}.{name}"
                for name in methods_of(capability)
                if f"{capability.capability}.{name}" not in self._read.calls
            ]
            if missing:
                self._note(("calls",), f"{capability.capability} needs {', '.join(missing)}, too")

    def _method(self, method: Method, spec: CallSpec, place: Place) -> Any:
        declare = self._declared(method, spec, place)
        if spec.python is not None:
            if spec.send is not None:
                self._note((*place, "python"), "give it either `send` or `python`")
            try:
                made = python_method(load_function(spec.python, self._document.file.parent))
            except DefinitionError as error:
                self._note((*place, "python"), str(error))
                return None
        else:
            call = self._call(method, spec, place)
            if call is None:
                return None
            made = method_of(call, inspect.signature(getattr(method.capability, method.function)))
        made.__name__ = made.__qualname__ = method.function
        return declare(made) if declare is not None else made

    def _declared(self, method: Method, spec: CallSpec, place: Place) -> Any:
        """What a write's `repeat` declares; None for a read."""
        if not method.write:
            if spec.repeat is not None:
                self._note((*place, "repeat"), f"{method.name} only asks, and may be repeated freely")
            return None
        words = (spec.repeat or "").split(" ", 2)
        try:
            if words[0] == "native" and len(words) <= 2:
                return native(span(words[1]) if len(words) == 2 else None)
            if words[0] == "never" and len(words) == 1:
                return never()
            if words[0] == "find" and len(words) >= 2:
                names = methods_of(method.capability)
                if words[1] not in names or words[1] in writes_of(method.capability):
                    raise ValueError(
                        f"{words[1]!r} is no method that looks something up; {nearest(words[1], names)}"
                    )
                return by_find(words[1], span(words[2]) if len(words) == 3 else timedelta())
        except ValueError as error:
            self._note((*place, "repeat"), str(error))
            return None
        self._note(
            (*place, "repeat") if spec.repeat else place,
            "say what happens when it is sent twice: `repeat: native 24h` (the same key for so long), `repeat: native` "
            "(for ever), `repeat: find METHOD 30s` (look it up, found at the latest after so long) or `repeat: never`",
        )
        return None

    def _call(self, method: Method, spec: CallSpec, place: Place) -> Call | None:
        send = _SEND.fullmatch(spec.send or "")
        if send is None:
            where = (*place, "send") if spec.send else place
            self._note(where, "write a verb and a path, as in `send: POST /documents/{code}`")
            return None
        verb, path = send[1], send[2]
        hints = get_type_hints(getattr(method.capability, method.function))
        source, record = self._source(method, spec, hints, place)
        answers = RecordOutcome if spec.each else _model_in(hints["return"])
        places = {}
        for expression in _PLACE.findall(path):
            name = re.sub(r"\W", "_", expression)
            path = path.replace("{" + expression + "}", "{" + name + "}")
            part = self._part(expression, source, None, (*place, "send"))
            if part is not None:
                places[name] = part
        if spec.form is not None and spec.body is not None:
            self._note((*place, "form"), "give it either a form or a body")
        return Call(
            verb=verb,
            path=path,
            places=places,
            query=self._part(spec.query, source, None, (*place, "query")),
            body=self._part(spec.body, source, None, (*place, "body")),
            form=self._part(spec.form, source, None, (*place, "form")),
            sends_all=verb in ("POST", "PUT", "PATCH"),
            answer=self._part(spec.answer, None, None if spec.each else answers, (*place, "answer")),
            nothing=frozenset(spec.nothing),
            each=spec.each,
            sends_key=method.write and self._read.key_header is not None,
            parameters=method.parameters,
            record=record,
            reads=method.answer,
        )

    def _source(
        self, method: Method, spec: CallSpec, hints: Mapping[str, Any], place: Place
    ) -> tuple[Any, bool]:
        """What expressions of a call read: its one record (or list), else its parameters by name."""
        names = list(method.parameters)
        first = hints[names[0]] if len(names) == 1 else None
        if spec.each:
            if get_origin(first) is None or hints["return"] != list[RecordOutcome]:
                self._note((*place, "each"), f"{method.name} takes no batch with an outcome for each record")
            else:
                return get_args(first)[0], True
        if first is not None and not (isinstance(first, type) and issubclass(first, str | int)):
            return first, True
        fields: dict[str, Any] = {name: (hints[name], ...) for name in names}
        return create_model("Parameters", **fields), False

    def _part(self, spec: Any, source: Any, target: type[BaseModel] | None, place: Place) -> Part | None:
        if spec is None:
            return None
        alone = isinstance(spec, str)
        if alone:
            shape = ANYTHING if source is None else shape_of(source)
            for message in check(spec, shape, self._read.tables):
                self._note(place, message)
            if self._problems:
                return None
        try:
            mapping = FieldMapping.load(
                {WRAPPED: spec} if alone else spec,
                tables=self._read.tables,
                source=None if alone else source,
                target=None if alone else target,
                place=place,
            )
        except DocumentProblems as error:
            self._problems += error.problems
            return None
        return Part(mapping, alone)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an answer is, None aside; None for lists and pages, which an expression makes."""
    shape = shape_of(annotation)
    return shape.model
