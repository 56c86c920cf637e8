"""One call to another system across process borders: by reference in, by status out.

What is sent and what is answered lie in the call's row. Here, and so in every workflow's history, are ids, statuses
and amounts only.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel

CONNECTOR_CALL_WORKFLOW = "ConnectorCall"
CALL_CHANGED = "call_changed"


class CallStatus(StrEnum):
    """Where a call stands."""

    INTENT = "intent"  # written down; surely nothing was applied yet
    SENT = "sent"  # on its way; after a crash as good as unknown
    UNKNOWN = "unknown"  # may have been applied; being found out
    PARKED = "parked"  # waits for a person
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"  # a person decided to go on without it, or a newer one took its place
    FAILED = "failed"  # a person decided that it has failed

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen to it by itself or by a person."""
        return self in (CallStatus.SUCCEEDED, CallStatus.SKIPPED, CallStatus.FAILED)


class CallRef(BaseModel):
    """A prepared call. method: capability and method, as in `payment.charge`, which is also the activity's name.

    trace_key: what it is about (never a person's data): a newer success of the same settles older parks. about: the
    same for people who see its process, where the key does not say it, as the title of a licence.
    """

    call_id: str
    connection: str
    method: str
    key: str
    trace_key: str = ""
    about: str = ""
    account_id: str | None = None

    @property
    def summary(self) -> str:
        """The call in one line."""
        return f"{self.method} of {self.connection}: {self.about or self.key}"[:200]


class CallOutcome(BaseModel):
    """Where a call stands after a try, with nothing personal in it.

    message: the kind and code in words; what the other system said is in the row and in `masthead errors`.
    again_at: when to look again, for an unknown one. park_id: what a person acts on, for a parked one. answer: the ids,
    statuses and minor units of the answer; the whole answer is in the row.
    """

    call_id: str
    status: CallStatus
    error_kind: str | None = None
    code: str | None = None
    message: str = ""
    again_at: datetime | None = None
    park_id: str | None = None
    answer: dict[str, str | int | bool | None] = {}
