"""What an account's fields may hold, whoever writes them: a row of an import, or a caller of the API. Each reader
raises ValueError with a sentence that says what is wrong, and how it is written."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)


def time_zone(name: str) -> ZoneInfo:
    """A zone of the IANA database."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone; write it like Europe/Berlin") from None


def locale_tag(text: str) -> str:
    """A language with what may follow, joined by hyphens."""
    locale = text.replace("_", "-")
    if not _LOCALE.fullmatch(locale):
        raise ValueError(f"locale: {text!r} is not a locale; write it like de or en-US")
    return locale


def email_address(text: str) -> str:
    """An address that could be one: the post office alone knows more."""
    if text.count("@") != 1 or " " in text or text[0] == "@" or text[-1] == "@":
        raise ValueError("email: is not an address like reader@example.com; correct it or leave it empty")
    return text
