"""Acting on parked work across process borders: who decides what, and what came of it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

from contracts.connector_call import CallRef

RESOLVE = "resolve"


class Action(StrEnum):
    """What a person may decide."""

    RETRY = "retry"
    EDIT = "edit"  # change what is sent, then try again; only where the change stays out of histories
    SKIP = "skip"
    FAIL = "fail"


class Resolve(BaseModel):
    """The update `resolve` of a workflow that waits for parked work: who, what and why; all go into the audit table.

    park_id: may be left out while one thing only is parked there. not_applied: the person has seen at the other
    system that nothing was done, so that it may be sent anew. There is no edit here: what is sent holds personal data,
    and an update stands in the history. Edit with the API or `masthead errors edit`.
    """

    action: Action
    actor: str = Field(min_length=1, max_length=200)
    reason: str = Field(min_length=1, max_length=1000)
    park_id: str | None = None
    not_applied: bool = False


class Decided(BaseModel):
    """What stands now. repeated: the same had been decided before, and nothing was written.

    workflow_id and call: who goes on with it; None for work that its owner reads from the table.
    """

    park_id: str
    action: Action
    repeated: bool = False
    workflow_id: str | None = None
    call: CallRef | None = None
