"""The inbox as pages: a list, and one mail with its text and HTML."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2

from sandbox.smtp.mails import Distinct, Mail

_PAGES = jinja2.Environment(
    loader=jinja2.ChoiceLoader([jinja2.PackageLoader("sandbox.smtp"), jinja2.PackageLoader("sandbox")]),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def inbox_page(found: Sequence[Distinct], recipient: str | None, base_url: str) -> bytes:
    """All mails, newest first, those of one Message-ID folded into one line."""
    text = _PAGES.get_template("inbox.html").render(found=found[::-1], recipient=recipient, base=base_url)
    return text.encode()


def mail_page(mail: Mail, base_url: str) -> bytes:
    """One mail; its HTML part in a frame that runs no script and loads nothing from outside."""
    return _PAGES.get_template("mail.html").render(mail=mail, base=base_url).encode()
