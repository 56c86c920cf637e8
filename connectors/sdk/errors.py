"""What may go wrong in a call to another system: the tree by which retrying is decided, and nowhere else.

    ConnectorError
      Transient            nothing was applied; the same call may be sent again
        RateLimited        the same, after `after`
      Unknown              a write was sent and nobody knows whether it was applied
      Unauthorized         the credentials are refused, after one refresh
      Rejected             the other system understood and refused; a person may edit what was sent
      Broken               an answer that cannot be read, or paging that does not end
    DefinitionError        the connector, its configuration or its mapping is wrong; found when it is loaded

A business outcome (declined, address not verifiable, already canceled) is a value, never one of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Literal

Kind = Literal["transient", "rate_limited", "unknown", "unauthorized", "rejected", "broken"]
Blame = Literal["data", "configuration", "vendor"]


class ConnectorError(Exception):
    """A call that did not end well. `message` is for the operator: what happened and, where known, what to do.

    code: the other system's own code, as text. status: the HTTP or SMTP status. Neither message nor fields may
    hold a secret; the SDK redacts what it builds from an answer.
    """

    kind: ClassVar[Kind]

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status

    @property
    def public(self) -> str:
        """A sentence that is safe to show to a subscriber."""
        return "The other system could not be reached. We are trying again."


class Transient(ConnectorError):
    """Nothing was applied, and it may work the next time."""

    kind: ClassVar[Kind] = "transient"


class RateLimited(Transient):
    """Too many calls. `after` is how long to wait, None when the other system did not say."""

    kind: ClassVar[Kind] = "rate_limited"

    def __init__(
        self,
        message: str,
        *,
        after: timedelta | None = None,
        code: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.after = after


class Unknown(ConnectorError):
    """A write was sent and its outcome is not known. What to do is said by the write's declared idempotency."""

    kind = "unknown"

    @property
    def public(self) -> str:
        """A sentence that is safe to show to a subscriber."""
        return "We are finding out whether this went through. Please do not repeat it."


class Unauthorized(ConnectorError):
    """The credentials are refused. The connection needs to be authorised again by a person."""

    kind = "unauthorized"


class Rejected(ConnectorError):
    """The other system understood the call and refuses it. `fields` maps a field to what is wrong with it."""

    kind = "rejected"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        fields: Mapping[str, str] | None = None,
        blame: Blame = "data",
        status: int | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.fields: dict[str, str] = dict(fields or {})
        self.blame: Blame = blame

    @property
    def public(self) -> str:
        """A sentence that is safe to show to a subscriber."""
        return "This could not be accepted as it is."


class Broken(ConnectorError):
    """The answer does not have the agreed shape. Trying again would give the same."""

    kind = "broken"


class DefinitionError(ValueError):
    """A connector, its configuration, mapping or flow is wrong. The message names place and remedy."""
