"""Payment card numbers in text: what must be neither kept nor logged."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_SHORTEST, _LONGEST = 13, 19
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
# Digits with blanks, dashes (of any kind) or full stops between them, as people write card numbers.
_SEPARATORS = r"[ \t.\u00ad\u2010-\u2015\u2212-]"
_RUN = re.compile(rf"\d(?:{_SEPARATORS}{{0,3}}\d){{{_SHORTEST - 1},}}", re.ASCII)
_GROUP = re.compile(r"\d+", re.ASCII)


def holds_card_number(text: str) -> bool:
    """Whether a payment card's number stands anywhere in `text`: 13 to 19 digits with a right check digit, in one piece
    or in groups. Ids of the form of a UUID are none."""
    if len(text) < _SHORTEST:
        return False
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return any(passes_luhn(digits) for digits in _candidates(_UUID.sub("", text)))


def without_card_numbers(text: str, mask: str) -> str:
    """`text` with `mask` in place of every run of digits that holds a payment card's number. Only what begins like one
    (2 to 6) counts here: of instants in milliseconds, which begin with 1, every tenth has a right check digit."""
    parts, after = [], 0
    for uuid in (*_UUID.finditer(text), None):
        before = text[after : uuid.start() if uuid else None]
        parts.append(_RUN.sub(lambda run: mask if _is_card(run[0]) else run[0], before))
        if uuid:
            parts.append(uuid[0])
            after = uuid.end()
    return "".join(parts)


def _is_card(run: str) -> bool:
    return any(digits[0] in "23456" and passes_luhn(digits) for digits in _candidates(run))


def passes_luhn(digits: str) -> bool:
    """Whether the last of `digits` is their check digit."""
    doubled = [int(digit) * 2 if no % 2 else int(digit) for no, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _candidates(text: str) -> Iterator[str]:
    """Neighbouring groups of digits that together are as long as a card number."""
    for run in _RUN.finditer(text):
        groups = _GROUP.findall(run[0])
        for first in range(len(groups)):
            digits = ""
            for group in groups[first:]:
                digits += group
                if len(digits) > _LONGEST:
                    break
                if len(digits) >= _SHORTEST:
                    yield digits
