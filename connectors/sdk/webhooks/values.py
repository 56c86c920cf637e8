"""What goes into a verification and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class WebhookRequest:
    """A request as it arrived. `public_url` is the address that the sender called, which may differ from the one behind
    a proxy; header names are looked up in lower case."""

    method: str
    public_url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Delivery:
    """One thing that a vendor tells, once verified.

    `key` is the same for each repetition and fits an index (at most 200 characters), `object_key` names the thing that
    it is about, `occurred_at` is when it happened there (None: not told). `payload` is the parsed JSON (None: it is
    none), and `body` its bytes: as they came, or written anew for one of several in a request.
    """

    key: str
    kind: str
    payload: Any = field(repr=False)
    body: bytes = field(repr=False)
    object_key: str
    occurred_at: datetime | None


class Reason(StrEnum):
    """Why a request is not believed; for the log, never for the sender."""

    NO_KEY = "no usable secret is configured"
    EMPTY_BODY = "the body is empty"
    NO_TIMESTAMP = "the timestamp is missing"
    BAD_TIMESTAMP = "the timestamp cannot be read"
    STALE = "the timestamp is too old"
    FUTURE = "the timestamp lies in the future"
    NO_SIGNATURE = "the signature is missing"
    BAD_SIGNATURE = "the signature does not fit"
    UNREADABLE = "the body cannot be read"
    OTHER_MODE = "it is of the vendor's test system and the endpoint is live, or the other way round"


@dataclass(frozen=True)
class Verdict:
    """The request is genuine: what it tells, in its order. live: whether it says to be of the vendor's live system;
    None where it does not say."""

    deliveries: tuple[Delivery, ...]
    live: bool | None = None


@dataclass(frozen=True)
class Refused:
    """The request is not believed."""

    reason: Reason
