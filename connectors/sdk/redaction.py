"""What may not be shown is taken out here, and only here: secrets and personal data, from logs, errors and excerpts.

Secrets are known by value: whatever a connector resolves or is given as a token is learnt for the whole process; and,
where nobody learnt them, by their look, as card numbers and mail addresses are.
Personal data is known by the name of its field; its values are then taken out of the vendor's words, too.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, quote, quote_plus

from domain.card_numbers import without_card_numbers

SECRET, PERSONAL, MAIL, CARD = "[secret]", "[personal]", "[mail]", "[card]"

_LONGEST_EXCERPT = 2000
_SHORTEST_SECRET = 6
_MOST_SECRETS = 2000
_USUAL_NAME = 100  # characters; a vendor's answer has some hundred names of fields, thousands of times over
_MAIL = re.compile(r"[A-Za-z0-9._%+'-]+(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_WORD = re.compile(r"[^\W\d]{3,}")
# What keys look like, ours and those of the field: a short word, and a long one that nobody could guess.
_KEY = re.compile(r"(?<![A-Za-z0-9])(?:mh|sk|rk|whsec)_[A-Za-z0-9_+/=-]{12,}")
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")

_PERSONAL_NAMES = frozenset(
    {
        "city",
        "town",
        "zip",
        "zipcode",
        "postcode",
        "postalcode",
        "postal",
        "line1",
        "line2",
        "line3",
        "dob",
        "iban",
    }
    | {
        "pan",
        "cvc",
        "cvv",
        "ssn",
        "taxid",
        "vatid",
        "ip",
        "ipaddress",
        "latitude",
        "longitude",
        "attn",
        "company",
    }
    | {"to", "cc", "bcc", "sender", "recipient", "replyto", "addressee", "holder", "signature"}
)
_FREE_TEXT = frozenset({"subject", "text", "html", "body", "comment", "note", "notes"})
_PERSONAL_PARTS = frozenset(
    {"mail", "phone", "mobile", "fax", "street", "address", "birth", "contactinfo", "accountnumber"}
)
_SECRET_PARTS = frozenset(
    {"password", "passphrase", "secret", "token", "apikey", "authorization", "assertion", "credential"}
)
_SECRET_HEADERS = frozenset({"cookie", "set-cookie", "authorization", "proxy-authorization"})

_known: OrderedDict[str, None] = OrderedDict()
_lock = threading.Lock()


def learn(*secrets: str | None) -> None:
    """From now on these values are shown nowhere. Shorter ones than 6 characters cannot be told from other text."""
    with _lock:
        for secret in secrets:
            if secret is None or len(secret) < _SHORTEST_SECRET:
                continue
            escaped = json.dumps(secret)[1:-1]
            encoded = base64.b64encode(secret.encode()).decode()
            for form in dict.fromkeys((secret, quote(secret, safe=""), quote_plus(secret), escaped, encoded)):
                _known[form] = None
                _known.move_to_end(form)
        while len(_known) > _MOST_SECRETS:
            _known.popitem(last=False)


def redact(text: str, personal: Iterable[str] = ()) -> str:
    """`text` without learnt secrets, what looks like a key, card numbers, mail addresses, and the `personal` values."""
    with _lock:
        found = [secret for secret in _known if secret in text]
    for secret in sorted(found, key=len, reverse=True):
        text = text.replace(secret, SECRET)
    text = _BEARER.sub(lambda match: f"{match[1]} {SECRET}", text)
    text = _KEY.sub(SECRET, _PASSWORD_IN_URL.sub(rf"\1:{SECRET}@", text))
    text = without_card_numbers(text, CARD)
    text = _MAIL.sub(MAIL, text)
    for value in sorted(set(personal), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", PERSONAL, text, flags=re.IGNORECASE)
    return text


def is_personal(field: str) -> bool:
    """Whether a field's name says that its value is about a person."""
    return _names_a_person(field) if len(field) <= _USUAL_NAME else _names_a_person.__wrapped__(field)


def is_secret(field: str) -> bool:
    """Whether the name of a field or header says that its value is a secret."""
    return _names_a_secret(field) if len(field) <= _USUAL_NAME else _names_a_secret.__wrapped__(field)


@lru_cache(maxsize=4096)
def _names_a_person(field: str) -> bool:
    name = _plain(field)
    return (
        name in _PERSONAL_NAMES | _FREE_TEXT
        or name.endswith(("name", "names"))
        or _has(name, _PERSONAL_PARTS)
    )


@lru_cache(maxsize=4096)
def _names_a_secret(field: str) -> bool:
    return field.lower() in _SECRET_HEADERS or _has(_plain(field), _SECRET_PARTS)


def redact_value(value: object, *, personal: bool = False) -> object:
    """JSON with what is secret or personal by its field's name masked, at any depth. Shape and numbers stay."""
    if isinstance(value, Mapping):
        return {
            redact(str(name)): SECRET
            if is_secret(str(name)) and not isinstance(each, Mapping | list)
            else redact_value(each, personal=personal or is_personal(str(name)))
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_value(each, personal=personal) for each in value]
    if isinstance(value, str):
        return PERSONAL if personal and value else redact(value)
    if personal and isinstance(value, int | float) and not isinstance(value, bool):
        return PERSONAL
    return value


def personal_values(content: bytes, content_type: str) -> frozenset[str]:
    """The personal values in a body that is sent, so that the vendor's echo of them can be taken out."""
    found: dict[str, bool] = {}
    _collect(_parsed(content, content_type), "", found)
    # A vendor may quote a part of a name or an address; of a letter's text every word would be found everywhere.
    words = {word for value, is_text in found.items() if not is_text for word in _WORD.findall(value)}
    return frozenset(value for value in found if 3 <= len(value) <= 200) | words


def excerpt(content: bytes, content_type: str, personal: Iterable[str] = ()) -> str | None:
    """A body as it may be shown: JSON and forms redacted; of anything else only what and how much it is."""
    if not content:
        return None
    parsed = _parsed(content, content_type)
    if parsed is None:
        kind = content_type.partition(";")[0].strip() or "unknown content"
        return f"[{len(content):,} bytes of {redact(kind)[:60]}]"
    shown = redact(json.dumps(redact_value(parsed), ensure_ascii=False), personal)
    return shown if len(shown) <= _LONGEST_EXCERPT else shown[:_LONGEST_EXCERPT] + "…"


class Redacting(logging.Filter):
    """Takes secrets and mail addresses out of a log record, its arguments and its exception."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true: the record stays."""
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


def silence(*loggers: str, below: bool = False) -> None:
    """Libraries that log what they send and get are kept to warnings, and those are redacted.

    The filter drops what is less than a warning also where somebody lowers the logger's level. below: the loggers
    under these names that exist by now, too, for a filter does not hold for them.
    """
    names = set(loggers)
    if below:
        known = list(logging.Logger.manager.loggerDict)
        names |= {name for name in known if name.startswith(tuple(f"{each}." for each in loggers))}
    for name in names:
        logger = logging.getLogger(name)
        if name in loggers:
            logger.setLevel(max(logger.level, logging.WARNING))
        if not any(isinstance(each, _WarningsOnly) for each in logger.filters):
            logger.addFilter(_WarningsOnly())
            logger.addFilter(Redacting())


class _WarningsOnly(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING


def _plain(field: str) -> str:
    return re.sub(r"[^a-z0-9]", "", field.lower())


def _has(name: str, parts: Iterable[str]) -> bool:
    return any(part in name for part in parts)


def _collect(value: object, under: str, found: dict[str, bool]) -> None:
    """The values under personal names, each with whether it is a text. under: the nearest personal name above."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            _collect(each, str(name) if is_personal(str(name)) else under, found)
    elif isinstance(value, list):
        for each in value:
            _collect(each, under, found)
    elif under and isinstance(value, str):
        found[value] = found.get(value, True) and _plain(under) in _FREE_TEXT


def _parsed(content: bytes, content_type: str) -> object:
    """The body as JSON or as a form's fields; None when it is neither."""
    if "x-www-form-urlencoded" in content_type:
        # Brackets are how forms nest: shipping[address][line1].
        pairs = parse_qsl(content.decode(errors="replace"), keep_blank_values=True)
        return {re.sub(r"\[\d*\]", "", name): value for name, value in pairs}
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict | list) else None
