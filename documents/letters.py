"""Mails out of templates: a text, and the same as HTML.

A template is the text of the mail under a line with its subject. Its HTML is made from it: paragraphs, rows of
`  Label: value` as a table, and `[Label] https://...` alone on a line as a button; or it is a template of its own, of
the same name with .html. docs/mails.md shows both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from babel import Locale
from jinja2 import FileSystemLoader, StrictUndefined, TemplateSyntaxError
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from documents.formats import Formats
from documents.shelf import Shelf, TemplateError, candidates
from domain.mail_facts import MailFacts

_ROW = re.compile(r" {2,}(?P<label>[^:]{1,60}): +(?P<value>.+)")
_BUTTON = re.compile(r"\[(?P<label>[^\]]{1,80})\] (?P<url>https?://\S+)")
LAYOUT = "layout.html"


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail, ready to be sent but for its sender and addressee."""

    subject: str
    text: str
    html: str
    language: str


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a mail's text as the layout sees it: `kind` is paragraph (of `lines`), rows (label and value each) or
    button (`label`, `url`)."""

    kind: str
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    label: str = ""
    url: str = ""


class Letters:
    """Writes mails by the templates of a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        folders = [str(place / "mails") for place in shelf.places]
        self._plain = _environment(folders, escape=False)
        self._page = _environment(folders, escape=True)

    def languages(self, template: str) -> list[str]:
        """The locales that a template is there in, sorted."""
        files = (file for place in self._shelf.places for file in (place / "mails").glob(f"*/{template}.txt"))
        return sorted({file.parent.name for file in files})

    def own(self) -> list[str]:
        """The names of all templates, sorted."""
        return sorted(
            {file.stem for place in self._shelf.places for file in (place / "mails").glob("*/*.txt")}
        )

    def write(
        self, template: str, facts: MailFacts, *, unsubscribe: str | None = None, pay: str | None = None
    ) -> Letter:
        """The mail `template` of `facts` in the account's language, else in English. pay: the link to the page on which
        the account pays; left out, its own pages take that place. Raises TemplateError."""
        place, locale = self._place(template, facts.locale)
        context = _context(facts, Formats(locale), unsubscribe) | {
            "words": self._shelf.words(locale.language),
            "pay_url": pay or facts.publisher.mails.account_url,
        }
        written = self._rendered(self._plain, f"{place}/{template}.txt", context)
        subject, text = _split(written, f"{place}/{template}.txt")
        own = f"{place}/{template}.html"
        page = own if self._shelf.find("mails", own) else LAYOUT
        more = {"subject": subject, "blocks": blocks_of(text), "language": locale.language}
        html = self._rendered(self._page, page, context | more)
        footer = self._rendered(self._plain, "footer.txt", context)
        text = _BUTTON.sub(r"\g<label>: \g<url>", text)
        return Letter(subject, f"{text}\n\n{footer.strip()}\n", html, locale.language)

    def _place(self, template: str, wanted: str) -> tuple[str, Locale]:
        """The folder of the nearest locale that the template is there in, and the locale of its formats."""
        locale = self._shelf.locale_for(wanted)
        for name in candidates(locale):
            if self._shelf.find("mails", name, f"{template}.txt"):
                return name, locale if name.startswith(locale.language) else self._shelf.locale_for("en")
        there = ", ".join(self.own()) or "none"
        raise TemplateError(
            f"there is no mail template {template!r} for {wanted or 'en'}: put mails/en/{template}.txt into the folder "
            f"of MASTHEAD_TEMPLATES. There are: {there}"
        )

    def _rendered(
        self, environment: ImmutableSandboxedEnvironment, name: str, context: Mapping[str, Any]
    ) -> str:
        try:
            return environment.get_template(name).render(context)
        except TemplateSyntaxError as error:
            raise TemplateError(f"{error.filename or name}, line {error.lineno}: {error.message}") from None
        except (JinjaError, TypeError, ValueError, ArithmeticError) as error:
            file = self._shelf.find("mails", *Path(name).parts) or name
            raise TemplateError(f"{file} cannot be filled in: {error}") from None


def blocks_of(text: str) -> list[Block]:
    """The parts of a mail's text, which blank lines divide."""
    found = []
    for part in re.split(r"\n\s*\n", text.strip("\n")):
        lines = tuple(line for line in part.split("\n") if line.strip())
        rows = [_ROW.fullmatch(line.rstrip()) for line in lines]
        button = _BUTTON.fullmatch(part.strip())
        if button is not None:
            found.append(Block("button", label=button["label"], url=button["url"]))
        elif lines and all(rows):
            found.append(
                Block("rows", rows=tuple((row["label"].strip(), row["value"]) for row in rows if row))
            )
        elif lines:
            found.append(Block("paragraph", lines))
    return found


def _split(written: str, name: str) -> tuple[str, str]:
    head, _, text = written.lstrip("\n").partition("\n")
    subject = " ".join(head.removeprefix("Subject:").split())
    if not head.startswith("Subject:") or not subject:
        raise TemplateError(f"mails/{name} has to begin with a line `Subject: ...`")
    return subject, re.sub(r"\n{3,}", "\n\n", text.strip())


def _environment(folders: list[str], *, escape: bool) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folders),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=True,
    )


def _context(facts: MailFacts, formats: Formats, unsubscribe: str | None) -> dict[str, Any]:
    def money(minor: int) -> str:
        return formats.money(minor, facts.currency)

    def day(value: date | None) -> str:
        return "" if value is None else formats.long_day(value)

    tools: dict[str, Callable[..., str]] = {"money": money, "day": day}
    publisher = facts.publisher
    return tools | {
        "facts": facts,
        "name": facts.name,
        "publisher": publisher,
        "paper": publisher.name or "",
        "account_url": publisher.mails.account_url,
        "invoice": facts.invoice,
        "payment": facts.payment,
        "credit_note": facts.credit_note,
        "subscription": facts.subscription,
        "unsubscribe": unsubscribe,
    }
