"""A declarative connector as written: what stands in its file, before anything in it is compiled."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from connectors.sdk.errors import Kind

_SPAN = re.compile(r"(\d{1,6}) ?(s|min|h|d)")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _field_in_short(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


def _call_in_short(value: Any) -> Any:
    return {"send": value} if isinstance(value, str) else value


class ConfigField(_Strict):
    """A field of the configuration: `key: secret`, or with a default and a description."""

    type: Literal["text", "url", "secret", "whole", "flag"]
    default: str | int | bool | None = None
    description: str = ""


class AuthSpec(_Strict):
    """One way of showing who sends; each names fields of the configuration."""

    api_key: FieldName | None = None
    header: str = "Authorization"
    prefix: str = ""
    param: str | None = None
    bearer: FieldName | None = None
    basic: tuple[FieldName, FieldName] | None = None
    client_credentials: tuple[FieldName, FieldName] | None = None
    token_url: str | None = None
    scope: str = ""


class ErrorSpec(_Strict):
    """One row of the error table: an answer with `status`, or with a body that fulfils `when`, `is` of a kind."""

    status: int | tuple[int, ...] | None = None
    kind: Kind = Field(alias="is")
    when: str | None = None
    code: str | None = None
    message: str | None = None
    fields: str | None = None
    after_seconds: int | None = None
    blame: Literal["data", "configuration", "vendor"] | None = None


class CallSpec(_Strict):
    """One method. send: `POST /documents/{code}`; what stands in braces is read of what the method is given.

    query, body, form, answer: expressions, or blocks of them. nothing: statuses that mean "there is none". each: send
    one record at a time. repeat: what happens when a write is sent twice. python: `module:function` or
    `./file.py:function` instead of all this.
    """

    send: str | None = None
    query: dict[str, Any] | None = None
    body: str | dict[str, Any] | None = None
    form: dict[str, Any] | None = None
    answer: str | dict[str, Any] | None = None
    nothing: tuple[int, ...] = ()
    each: bool = False
    repeat: str | None = None
    python: str | None = None


class ConnectorDocument(_Strict):
    """A whole connector. base_url: a field of `config`, or a URL. calls: by capability and method, `tax.quote`."""

    format: Literal["masthead.connector/1"]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,59}$")]
    title: str = ""
    config: dict[FieldName, Annotated[ConfigField, BeforeValidator(_field_in_short)]]
    base_url: str = "base_url"
    auth: AuthSpec | None = None
    rate: str = "20/s"
    key_header: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    errors: tuple[ErrorSpec, ...] = ()
    health: str
    tables: dict[str, dict[str, Any]] = Field(default_factory=dict)
    calls: dict[str, Annotated[CallSpec, BeforeValidator(_call_in_short)]] = Field(min_length=1)


def span(text: str) -> timedelta:
    """`24h`, `30 min`, `90s`, `7d`. Raises ValueError."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no span of time; write it like 24h, 30min, 90s or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
