"""A kept mail as a reader sees it, and the inbox of all of them."""

from __future__ import annotations

import email
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import default as modern
from typing import Any


@dataclass(frozen=True)
class Arrival:
    """What the conversation was: envelope, whether it was encrypted, and the login that was used (None: none)."""

    mail_from: str
    recipients: tuple[str, ...]
    at: datetime
    encrypted: bool = False
    login: str | None = None


@dataclass(frozen=True)
class Mail:
    """One delivery. `number` counts from 1; `headers` keep order and repeats; `text`, `html` may be absent (None)."""

    number: int
    message_id: str
    arrival: Arrival
    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    attachments: tuple[str, ...]
    raw: bytes

    def header(self, name: str) -> str | None:
        """The first header of this name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def subject(self) -> str:
        """The subject, decoded; empty where there is none."""
        return self.header("Subject") or ""

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom the envelope named: blind copies are here and not in the headers."""
        return self.arrival.recipients

    def as_json(self, *, parts: bool = True) -> dict[str, Any]:
        """As the control answers it; without headers and parts in lists."""
        brief = {
            "number": self.number,
            "message_id": self.message_id,
            "at": self.arrival.at.isoformat(),
            "mail_from": self.arrival.mail_from,
            "recipients": list(self.recipients),
            "subject": self.subject,
            "encrypted": self.arrival.encrypted,
            "login": self.arrival.login,
        }
        if not parts:
            return brief
        return brief | {
            "headers": [list(pair) for pair in self.headers],
            "text": self.text,
            "html": self.html,
            "attachments": list(self.attachments),
        }


@dataclass(frozen=True)
class Distinct:
    """All deliveries of one Message-ID: what a reader whose mail program folds duplicates sees."""

    mail: Mail
    copies: int


class Inbox:
    """All mails that were accepted, oldest first; safe to read from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mails: list[Mail] = []

    def keep(self, raw: bytes, arrival: Arrival) -> Mail:
        """Parse and keep one delivery."""
        with self._lock:
            mail = _parsed(len(self._mails) + 1, raw, arrival)
            self._mails.append(mail)
        return mail

    def all(self, recipient: str | None = None) -> list[Mail]:
        """All deliveries; those to `recipient` (an address, whatever its case, or a part of one) when given."""
        with self._lock:
            mails = list(self._mails)
        if recipient is None:
            return mails
        wanted = recipient.lower()
        return [mail for mail in mails if any(wanted in address.lower() for address in mail.recipients)]

    def distinct(self, recipient: str | None = None) -> list[Distinct]:
        """One entry per Message-ID, with its first delivery and how many there were."""
        copies: dict[str, list[Mail]] = {}
        for mail in self.all(recipient):
            copies.setdefault(mail.message_id, []).append(mail)
        return [Distinct(found[0], len(found)) for found in copies.values()]

    def get(self, number: int) -> Mail | None:
        """The delivery of this number."""
        with self._lock:
            return self._mails[number - 1] if 1 <= number <= len(self._mails) else None

    def reset(self) -> None:
        """Forget all."""
        with self._lock:
            self._mails.clear()

    def __len__(self) -> int:
        return len(self._mails)


def _parsed(number: int, raw: bytes, arrival: Arrival) -> Mail:
    """A broken mail is kept as far as it can be read: a real inbox would show it too."""
    message = email.message_from_bytes(raw, policy=modern)
    headers = tuple((name, _header(name, str(value))) for name, value in message.raw_items())
    named = (value.strip() for name, value in headers if name.lower() == "message-id")
    return Mail(
        number=number,
        message_id=next(named, "") or f"(none, delivery {number})",
        arrival=arrival,
        headers=headers,
        text=_part(message, "plain"),
        html=_part(message, "html"),
        attachments=tuple(part.get_filename() or part.get_content_type() for part in _attachments(message)),
        raw=raw,
    )


def _header(name: str, written: str) -> str:
    """A header's value decoded; as it was written where the standard library fails at it."""
    try:
        return str(modern.header_fetch_parse(name, written))
    except Exception:
        return written


def _part(message: EmailMessage, kind: str) -> str | None:
    body = message.get_body((kind,))
    if body is None:
        return None
    try:
        content = body.get_content()
    except LookupError:  # a charset that nobody knows
        payload = body.get_payload(decode=True)
        content = payload.decode(errors="replace") if isinstance(payload, bytes) else ""
    return content.replace("\r\n", "\n") if isinstance(content, str) else None


def _attachments(message: EmailMessage) -> Iterator[EmailMessage]:
    """Attachments of a multipart mail; others have none."""
    return iter(message.iter_attachments()) if message.is_multipart() else iter(())
