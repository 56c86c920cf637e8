"""Where templates and words come from: the publisher's folder first, then ours."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from babel import Locale, UnknownLocaleError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

OURS = Path(__file__).parent
FALLBACK = "en"


class TemplateError(ValueError):
    """A template or a file of words that cannot be used. The message names the file, the place and what to do."""


class Shelf:
    """Templates of `folder`, which has the layout of ours (templates/, words/, mails/), and ours where it has none."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None and not folder.is_dir():
            raise TemplateError(
                f"{folder} is no folder: MASTHEAD_TEMPLATES has to name the folder of own templates"
            )
        self.folder = folder
        self._words: dict[str, dict[str, str]] = {}

    @property
    def places(self) -> list[Path]:
        """The folders in the order in which they are looked into."""
        return [OURS] if self.folder is None else [self.folder, OURS]

    def find(self, *parts: str) -> Path | None:
        """The file that holds, by its path within a folder."""
        return next((file for place in self.places if (file := place.joinpath(*parts)).is_file()), None)

    def words(self, language: str) -> dict[str, str]:
        """The words of a language, those of English where it lacks one. Raises TemplateError."""
        if language not in self._words:
            found: dict[str, str] = {} if language == FALLBACK else dict(self.words(FALLBACK))
            for place in reversed(self.places):
                file = place / "words" / f"{language}.yaml"
                if file.is_file():
                    found |= _read_words(file)
            self._words[language] = found
        return self._words[language]

    @cached_property
    def languages(self) -> frozenset[str]:
        """The languages that there are words in."""
        return frozenset(file.stem for place in self.places for file in (place / "words").glob("*.yaml"))

    def locale_for(self, text: str) -> Locale:
        """The locale in which an account is written to: its own where there are words in its language, else English,
        with the formats of English in its country."""
        locale = _parsed(text)
        if locale is not None and locale.language in self.languages:
            return locale
        territory = locale.territory if locale is not None else None
        return _parsed(f"{FALLBACK}-{territory}" if territory else "") or Locale.parse("en_001")

    @property
    def font_folders(self) -> list[Path]:
        """Where fonts lie beside those that come along."""
        return [] if self.folder is None else [self.folder / "fonts"]


def candidates(locale: Locale) -> Iterator[str]:
    """The names of a locale's folders, the nearest first: de-CH, de, en."""
    if locale.territory:
        yield f"{locale.language}-{locale.territory}"
    yield locale.language
    if locale.language != FALLBACK:
        yield FALLBACK


def _parsed(text: str) -> Locale | None:
    try:
        return Locale.parse(text.replace("_", "-"), sep="-")
    except (ValueError, UnknownLocaleError):
        return None


def _read_words(file: Path) -> dict[str, str]:
    try:
        content = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise TemplateError(f"{file} cannot be read: {str(error).partition(chr(10))[0]}") from None
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise TemplateError(
            f"{file} has to be lines of `name: text`; put a text in quotes where YAML reads it otherwise"
        )
    return {str(name): value for name, value in content.items()}
