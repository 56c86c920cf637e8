"""Sending mail."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.key import Key
from connectors.sdk.values import Value


class Attachment(Value):
    """A file in a mail. content_type: as in application/pdf."""

    name: str
    content_type: str
    content: bytes = Field(repr=False)


class Mail(Value):
    """One mail to one reader. sender and to: addresses, with a name or without. The Message-ID comes from the key."""

    sender: str = Field(repr=False)
    to: str = Field(repr=False)
    subject: str = Field(repr=False)
    text: str = Field(repr=False)
    html: str | None = Field(default=None, repr=False)
    reply_to: str | None = Field(default=None, repr=False)
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    attachments: tuple[Attachment, ...] = Field(default=(), repr=False)


class MailReceipt(Value):
    """What the mail server took over. reply: its own words."""

    message_id: str
    reply: str = ""


class Mailer(Capability):
    """Mail out. A refusal for now is Transient, one for good is Rejected."""

    capability = "mail"

    @abstractmethod
    async def send(self, mail: Mail, key: Key) -> MailReceipt:
        """Hand a mail to the mail server, with a Message-ID made from the key."""
