"""What goes out for a mail: its words from the facts as they are now, its addressee, its attachments."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from documents.invoice_page import InvoicePages, file_name
from documents.letters import Letters
from documents.shelf import Shelf
from domain.invoice_document import InvoiceDocument
from domain.mail_facts import MailFacts
from domain.mail_templates import MailTemplate, template_named
from storage.database import PgConnection
from storage.invoice_documents import read_credit_note, read_invoice
from storage.mail_facts import read_mail_facts
from storage.mails import MailRow

# Reasons for which a mail is not sent.
NO_CONNECTION = "no_connection"
NO_SENDER = "no_sender"
NO_ADDRESS = "no_address"
NO_CONSENT = "no_consent"
NO_UNSUBSCRIBE_URL = "no_unsubscribe_url"
OVERTAKEN = "overtaken"
NO_ACCOUNT = "no_account"

REASONS = {
    NO_CONNECTION: "no mail connection of its mode is configured in masthead.yaml",
    NO_SENDER: "the rule book has no publisher.mails.sender",
    NO_ADDRESS: "the account has no mail address",
    NO_CONSENT: "marketing, and the reader has not agreed to it",
    NO_UNSUBSCRIBE_URL: "marketing, and the rule book has no publisher.mails.unsubscribe_url",
    OVERTAKEN: "by the time it was to go out it was no longer so",
    NO_ACCOUNT: "the account is gone",
}
# Those that somebody can do something about, after which the mail may still be wanted.
CURABLE = (NO_CONNECTION, NO_SENDER, NO_ADDRESS, NO_UNSUBSCRIBE_URL)
UNSUBSCRIBE_PATH = "/unsubscribe/"
PAYMENT_PATH = "/pay/"


@dataclass(frozen=True, slots=True)
class Known:
    """A mail with what it can tell, read at one time. document: what goes with it."""

    row: MailRow
    template: MailTemplate
    facts: MailFacts | None
    document: InvoiceDocument | None


@dataclass(frozen=True, slots=True)
class Composed:
    """A mail to be handed over: the request of `mail.send` as JSON. connection: the one that the rule book names.
    unsubscribe_hash: of the token in its link, for marketing. payment_hash: of the token in the link to the page on
    which the account pays, which holds for `payment_days`."""

    request: dict[str, Any] = field(repr=False)
    connection: str | None
    locale: str
    unsubscribe_hash: bytes | None = None
    payment_hash: bytes | None = None
    payment_days: int = 0


@dataclass(frozen=True, slots=True)
class Unsent:
    """A mail that is not sent, and why."""

    reason: str


def read_known(connection: PgConnection, row: MailRow) -> Known:
    """What a mail can tell as it is now. Raises DocumentDoesNotAdd."""
    template = template_named(row.template)
    facts = read_mail_facts(connection, row.account_id, row.subject_id)
    document = None
    if facts is not None and template.attaches:
        read: Callable[[PgConnection, str], InvoiceDocument | None] = (
            read_credit_note if facts.credit_note is not None else read_invoice
        )
        document = read(connection, row.subject_id)
    return Known(row, template, facts, document)


class Composer:
    """Writes what goes out; needs no database."""

    def __init__(self, shelf: Shelf) -> None:
        self.letters = Letters(shelf)
        self.pages = InvoicePages(shelf)

    def compose(self, known: Known) -> Composed | Unsent:
        """The mail, or why there is none. Raises TemplateError where a template is at fault."""
        facts, template = known.facts, known.template
        if facts is None:
            return Unsent(NO_ACCOUNT)
        if (reason := _hindrance(facts, template, known.document)) is not None:
            return Unsent(reason)
        mails = facts.publisher.mails
        token = _link_token() if template.marketing else None
        link = f"{(mails.unsubscribe_url or '').rstrip('/')}{UNSUBSCRIBE_PATH}{token}" if token else None
        payment_token = _link_token() if template.pays and mails.pages_url else None
        pay = f"{mails.pages_url}{PAYMENT_PATH}{payment_token}" if payment_token else None
        letter = self.letters.write(template.name, facts, unsubscribe=link, pay=pay)
        headers = {"Auto-Submitted": "auto-generated"}
        if link:
            # RFC 8058: the reader's mail program ends it with one POST, without a page in between.
            headers = {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
        return Composed(
            request={
                "sender": mails.sender,
                "to": _mailbox(facts),
                "subject": letter.subject,
                "text": letter.text,
                "html": letter.html,
                "reply_to": mails.reply_to,
                "headers": headers,
                "attachments": self._attachments(known.document),
            },
            connection=mails.connection,
            locale=letter.language,
            unsubscribe_hash=token_hash(token) if token else None,
            payment_hash=token_hash(payment_token) if payment_token else None,
            payment_days=mails.payment_link_days,
        )

    def _attachments(self, document: InvoiceDocument | None) -> list[dict[str, str]]:
        if document is None:
            return []
        content = base64.b64encode(self.pages.pdf(document)).decode()
        named = file_name(document, "pdf")
        return [{"name": named, "content_type": "application/pdf", "content": content}]


def _link_token() -> str:
    """Nobody guesses it, and each mail program takes all of it for the link: one that ends with a dash loses it."""
    return secrets.token_hex(16)


def token_hash(token: str) -> bytes:
    """What is stored of the token in a link. Tokens are long and random, so that a plain hash suffices."""
    return hashlib.sha256(token.encode()).digest()


def _hindrance(facts: MailFacts, template: MailTemplate, document: InvoiceDocument | None) -> str | None:
    mails = facts.publisher.mails
    if not template.still(facts) or (template.attaches and document is None):
        return OVERTAKEN
    if template.marketing and facts.consent is not True:
        return NO_CONSENT
    if not facts.email:
        return NO_ADDRESS
    if mails.sender is None:
        return NO_SENDER
    if template.marketing and mails.unsubscribe_url is None:
        return NO_UNSUBSCRIBE_URL
    return None


def _mailbox(facts: MailFacts) -> str:
    """The addressee, with the name where it can stand beside an address."""
    name = (facts.name or "").replace("\\", "").replace('"', "")
    return f'"{name}" <{facts.email}>' if name else facts.email or ""
