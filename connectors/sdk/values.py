"""Values that several capabilities share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

T = TypeVar("T")

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Value(BaseModel):
    """A frozen value of a capability. Unknown fields are ignored, so that a newer peer may send more."""

    # Bytes are base64 in JSON, so that an attachment that is no text can be written down and sent later.
    model_config = ConfigDict(
        frozen=True, hide_input_in_errors=True, ser_json_bytes="base64", val_json_bytes="base64"
    )


class Address(Value):
    """A postal address. country: ISO 3166-1 alpha-2."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = Field(default="", max_length=2)


class RecordStatus(StrEnum):
    """How one record of a batch went."""

    WRITTEN = "written"
    REJECTED = "rejected"  # edit it, then send it again
    RETRY = "retry"  # nothing was applied; send it again


class RecordOutcome(Value):
    """The outcome of one record of a batch, found again by the record's own key."""

    key: str
    status: RecordStatus
    vendor_id: str | None = None
    code: str | None = None
    message: str | None = None
    fields: dict[str, str] = Field(default_factory=dict)


class Page(Value, Generic[T]):
    """Some items, and the cursor with which to ask for what follows; None at the end of what there is now."""

    items: tuple[T, ...]
    next: str | None = None


class Health(Value):
    """Whether the other system answers and takes our credentials. detail: one sentence for the operator."""

    ok: bool
    detail: str = ""
