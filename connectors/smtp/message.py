"""A mail as the wire wants it (RFC 5322), made by the standard library."""

from __future__ import annotations

import hashlib
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr

from connectors.sdk.capabilities.mail import Mail
from connectors.sdk.errors import Rejected
from connectors.sdk.key import Key


def message_id(key: Key, domain: str) -> str:
    """The Message-ID of the mail with this key: the same for every try, and nothing can be read from it."""
    return f"<{hashlib.sha256(key.value.encode()).hexdigest()[:40]}@{domain}>"


def address_of(text: str, field: str) -> str:
    """The bare address in `text`, which may have a name before it. Raises Rejected naming the field."""
    address = parseaddr(text)[1]
    local, at, domain = address.rpartition("@")
    if not local or not at or not domain or any(c in text for c in "\r\n"):
        raise Rejected(
            f"the mail's {field} is no mail address", code="bad_address", fields={field: "no address"}
        )
    return address


def rendered(mail: Mail, key: Key, domain: str) -> bytes:
    """The message: headers, a text part and, where there is one, an HTML part and attachments.

    Raises Rejected for headers that cannot be, as with a line break in them.
    """
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = _mailbox(mail.sender, "sender")
        message["To"] = _mailbox(mail.to, "to")
        message["Subject"] = mail.subject
        message["Message-ID"] = message_id(key, domain)
        if mail.reply_to:
            message["Reply-To"] = _mailbox(mail.reply_to, "reply_to")
        for name, value in mail.headers.items():
            message[name] = value
    except (ValueError, KeyError) as problem:
        raise Rejected(
            f"a header of the mail cannot be written ({type(problem).__name__})", code="bad_header"
        ) from None
    message.set_content(mail.text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    for attachment in mail.attachments:
        kind, _, subtype = attachment.content_type.partition("/")
        try:
            message.add_attachment(
                attachment.content, maintype=kind, subtype=subtype or "octet-stream", filename=attachment.name
            )
        except ValueError:
            raise Rejected("an attachment's name or type cannot be written", code="bad_attachment") from None
    return message.as_bytes()


def _mailbox(text: str, field: str) -> Address:
    return Address(display_name=parseaddr(text)[0], addr_spec=address_of(text, field))
