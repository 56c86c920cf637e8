"""The page on which a customer pays, as HTML that loads nothing: `pages/pay.html` in the words of the account."""

from __future__ import annotations

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from documents.formats import Formats
from documents.shelf import Shelf, TemplateError
from domain.pay_page import PayPage

PAGE = "pay.html"


class PayPages:
    """Renders pages by the templates of a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._templates = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader([str(place / "pages") for place in shelf.places]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def page(self, shown: PayPage) -> str:
        """What is due and what to do about it. Raises TemplateError."""
        locale = self._shelf.locale_for(shown.locale)
        formats = Formats(locale)
        return self._rendered(
            words=self._shelf.words(locale.language),
            language=locale.language,
            step=shown.step.value,
            title=self._shelf.words(locale.language)[f"pay_{shown.step.value}"],
            paper=shown.publisher.name or "",
            publisher=shown.publisher,
            account_url=shown.publisher.mails.account_url,
            page=shown,
            money=lambda minor: formats.money(minor, shown.currency),
            day=formats.long_day,
        )

    def notice(self, word: str, wanted: str = "en") -> str:
        """A page of one sentence, by its key in the words. Raises TemplateError."""
        locale = self._shelf.locale_for(wanted)
        words = self._shelf.words(locale.language)
        return self._rendered(
            words=words,
            language=locale.language,
            step="notice",
            title=words[word],
            text=words[f"{word}_text"],
        )

    def _rendered(self, **context: object) -> str:
        try:
            return self._templates.get_template(PAGE).render(context)
        except (JinjaError, KeyError, TypeError, ValueError) as error:
            file = self._shelf.find("pages", PAGE) or PAGE
            raise TemplateError(f"{file} cannot be filled in: {error}") from None
