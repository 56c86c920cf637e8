"""A recipe: how one vendor signs its webhooks and where it says what happened. Data, checked when it is loaded."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Unit = Literal["seconds", "milliseconds", "iso"]

UNTIMED_DAYS = 90

_SLOT = re.compile(r"\{([a-z]+)(?::([^{}]+))?\}")
_SLOTS = {"body": False, "timestamp": False, "method": False, "url": False, "header": True, "item": True}


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Labelled(_Data):
    """One value out of a header that may hold several: those of `separator`-separated parts that begin with `prefix`,
    without it. Without a separator the whole header is the value."""

    header: str
    separator: str = ""
    prefix: str = ""

    def find(self, text: str) -> list[str]:
        """The values in the header's text `text`, at most ten."""
        parts = text.split(self.separator) if self.separator else [text]
        found = (part.strip() for part in parts)
        return [part[len(self.prefix) :] for part in found if part.startswith(self.prefix)][:10]


class Signature(_Data):
    """Where signatures are and how their bytes are written: in a header, or in each item at the path `item`."""

    header: Labelled | None = None
    item: str | None = None
    encoding: Literal["hex", "base64"]

    @model_validator(mode="after")
    def _one_place(self) -> Signature:
        if (self.header is None) == (self.item is None):
            raise ValueError("name either a header or a path in each item")
        return self


class Timestamp(_Data):
    """Where the time of sending is: a header's value, and its unit."""

    header: Labelled
    unit: Unit


class Items(_Data):
    """Several deliveries in one request: the list at `path` (empty: the body itself is the list, or the only item),
    and in each entry the object at `each`. Longer lists than `most` are refused."""

    path: str = ""
    each: str = ""
    most: int = Field(default=1000, ge=1, le=10_000)


class Occurred(_Data):
    """Where a delivery says when its event happened, and in which unit."""

    source: str
    unit: Unit


class Live(_Data):
    """Where a request says whether it is of the vendor's live system or of its test system, and what it says there
    when it is live."""

    path: str
    live: str = "true"


class Answer(_Data):
    """What the vendor wants to read so as to believe that we have it."""

    status: int = Field(default=200, ge=200, le=299)
    body: str = ""
    media_type: str = "text/plain"


class Part(NamedTuple):
    """A piece of what is signed: a literal (`slot` is empty), or what stands in a slot."""

    slot: str
    value: str


class Recipe(_Data):
    """How one vendor's webhooks are verified and read.

    `signed` is a template of what is signed: `{body}`, `{timestamp}` (as sent), `{method}`, `{url}` (the characters of
    `url_decoded` decoded in it), `{header:NAME}`, `{item:PATH}`. `key_form` says how the configured secret becomes a
    key. `tolerance_seconds` holds to both sides. `delivery_key`, `kind`, `object` and `occurred` are sources (see
    sources.py): what repetitions have in common, what happened, to what, and when.
    `live` is a path into the request's JSON.
    `retry_days` is for how long the vendor repeats a delivery. Only the headers of
    `keep_headers` are stored.
    """

    name: Name
    title: str
    signature: Signature
    timestamp: Timestamp | None = None
    signed: str
    url_decoded: str = ""
    key_form: Literal["text", "text-nfkd", "base64", "hex"] = "text"
    key_prefix: str = ""
    tolerance_seconds: int = Field(default=300, ge=1, le=3600)
    items: Items | None = None
    delivery_key: tuple[str, ...]
    kind: str
    object: tuple[str, ...] = ()
    occurred: Occurred | None = None
    answer: Answer = Answer()
    live: Live | None = None
    retry_days: int = Field(ge=1, le=90)
    keep_headers: tuple[str, ...] = ()

    @field_validator("signed")
    @classmethod
    def _only_known_slots(cls, template: str) -> str:
        for slot, argument in _SLOT.findall(template):
            if slot not in _SLOTS or _SLOTS[slot] != bool(argument):
                raise ValueError(f"{{{slot}}} is not a slot; there are {', '.join(_SLOTS)}")
        if not _SLOT.search(template) or re.search(r"[{}]", _SLOT.sub("", template)):
            raise ValueError("must have slots like {body}, and no other braces")
        return template

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        slots = {part.slot for part in self.parts}
        if ("timestamp" in slots) != (self.timestamp is not None):
            raise ValueError(
                "a timestamp is checked exactly when it is signed: name it in both or in neither"
            )
        if self.signature.item is not None and self.items is None:
            raise ValueError("signatures in items need `items`")
        if ("item" in slots) != (self.signature.item is not None):
            raise ValueError("{item:...} is signed exactly when the signature is in the item")
        if self.signature.item is None and "body" not in slots:
            raise ValueError("the body must be signed")
        return self

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """`signed`, taken apart."""
        found: list[Part] = []
        at = 0
        for match in _SLOT.finditer(self.signed):
            if match.start() > at:
                found.append(Part("", self.signed[at : match.start()]))
            found.append(Part(match[1], (match[2] or "").lower() if match[1] == "header" else match[2] or ""))
            at = match.end()
        if at < len(self.signed):
            found.append(Part("", self.signed[at:]))
        return tuple(found)

    @property
    def kept_days(self) -> int:
        """For how long a delivery's key has to be kept: longer than it is repeated, and where no time is signed, where
        the key is all that tells a replay, for a season."""
        return self.retry_days + 1 if self.timestamp is not None else max(self.retry_days + 1, UNTIMED_DAYS)

    @cached_property
    def kept_headers(self) -> tuple[str, ...]:
        """`keep_headers` in lower case."""
        return tuple(name.lower() for name in self.keep_headers)

    def signing_key(self, secret: str) -> bytes | None:
        """The key that a configured secret stands for; None when the text cannot be one."""
        text = secret.strip().removeprefix(self.key_prefix)
        try:
            if self.key_form == "base64":
                return base64.b64decode(text + "=" * (-len(text) % 4), validate=True) or None
            if self.key_form == "hex":
                return bytes.fromhex(text) or None
            return (
                unicodedata.normalize("NFKD", text) if self.key_form == "text-nfkd" else text
            ).encode() or None
        except (binascii.Error, ValueError):
            return None
