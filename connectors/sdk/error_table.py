"""A connector's own table of errors, as data: which answers mean what, and where the vendor's words are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jmespath
import jmespath.exceptions

from connectors.sdk.errors import Blame, ConnectorError, DefinitionError

_USUAL_MESSAGE = (
    "error.message || message || error_description || detail || title || errors[0].message || "
    "errors[0].detail || [0].message || error.description || error || errors[0]"
)
_USUAL_CODE = "error.code || code || errorCode || errors[0].code || [0].errorCode || category || error"


class Path:
    """A JMESPath expression that was read when it was declared. Raises DefinitionError naming the expression."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._compiled = jmespath.compile(text)
        except jmespath.exceptions.JMESPathError as problem:
            raise DefinitionError(f"{text!r} is no JMESPath expression: {problem}") from None

    def __repr__(self) -> str:
        return f"Path({self.text!r})"

    def of(self, body: object) -> Any:
        """What it finds in a body; None where it finds nothing or does not apply."""
        try:
            return self._compiled.search(body)
        except jmespath.exceptions.JMESPathError:
            return None


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One row; see `on`."""

    statuses: frozenset[int]
    error: type[ConnectorError]
    when: Path | None
    code: Path
    message: Path
    fields: Path | None
    after: timedelta | None
    blame: Blame | None

    def applies(self, status: int, body: object) -> bool:
        """Whether an answer is this row's."""
        if self.statuses and status not in self.statuses:
            return False
        return self.when is None or bool(self.when.of(body))


def on(
    status: int | Collection[int] | None,
    error: type[ConnectorError],
    *,
    when: str | None = None,
    code: str | None = None,
    message: str | None = None,
    fields: str | None = None,
    after: timedelta | None = None,
    blame: Blame | None = None,
) -> ErrorRule:
    """An answer with `status` (None: any) whose body fulfils `when` is `error`. The first row that fits counts.

    when, code, message and fields are JMESPath over the JSON body; code and message default to the usual places.
    fields finds a mapping, a list of names, or a list of objects {field, message}. after: for RateLimited, how long
    to wait when no header says so. With `when`, a status of 200 may be an error, too. Unknown counts on writes only;
    a read becomes Transient. Raises DefinitionError for an expression that cannot be read.
    """
    if status is None and when is None:
        raise DefinitionError("on(None, ...) needs when=..., or every answer would be an error")
    statuses = frozenset([status] if isinstance(status, int) else status or ())
    if when is None and any(200 <= each < 300 for each in statuses):
        raise DefinitionError("a 2xx is an error only with when=...")
    return ErrorRule(
        statuses=statuses,
        error=error,
        when=Path(when) if when else None,
        code=Path(code or _USUAL_CODE),
        message=Path(message or _USUAL_MESSAGE),
        fields=Path(fields) if fields else None,
        after=after,
        blame=blame,
    )


@dataclass(frozen=True, slots=True)
class Told:
    """What the other system said in an error. Not yet redacted."""

    rule: ErrorRule | None
    code: str | None
    message: str | None
    fields: Mapping[str, str]


_CODE, _MESSAGE = Path(_USUAL_CODE), Path(_USUAL_MESSAGE)


def judges(rules: Sequence[ErrorRule], status: int) -> bool:
    """Whether an answer with `status` needs to be looked into: an error, or one that a row's `when` may make one."""
    return status >= 300 or any(
        rule.when is not None and (not rule.statuses or status in rule.statuses) for rule in rules
    )


def read_error(rules: Sequence[ErrorRule], status: int, body: object) -> Told:
    """The row for an answer, and what its body says; body: parsed JSON, None when it is none."""
    rule = next((each for each in rules if each.applies(status, body)), None)
    code = (rule.code if rule else _CODE).of(body)
    message = (rule.message if rule else _MESSAGE).of(body)
    found = rule.fields.of(body) if rule and rule.fields else None
    return Told(rule, _text(code), _text(message), _fields(found))


def _text(value: object) -> str | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str | int | float):
        return str(value) or None
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return "; ".join(value)
    return None


def _fields(found: object) -> dict[str, str]:
    if isinstance(found, Mapping):
        return {str(name): _text(what) or "refused" for name, what in found.items()}
    fields: dict[str, str] = {}
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, str):
            fields[each] = "refused"
        elif isinstance(each, Mapping) and each.get("field"):
            fields[str(each["field"])] = _text(each.get("message")) or "refused"
    return fields
