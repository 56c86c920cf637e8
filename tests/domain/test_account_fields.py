"""What an account's fields may hold."""

from __future__ import annotations

import pytest

from domain.account_fields import email_address, locale_tag, time_zone


def test_what_is_right_is_taken() -> None:
    assert time_zone("Europe/Berlin").key == "Europe/Berlin"
    assert [locale_tag(text) for text in ("de", "en_US", "zh-Hant-TW")] == ["de", "en-US", "zh-Hant-TW"]
    assert email_address("ada@example.com") == "ada@example.com"


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "America"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="write it like Europe/Berlin"):
        time_zone(name)


@pytest.mark.parametrize("text", ["", "english", "DE", "de-", "de DE", "dé"])
def test_what_is_no_locale_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it like de or en-US"):
        locale_tag(text)


@pytest.mark.parametrize("text", ["", "ada", "@example.com", "ada@", "a@b@c", "ada @example.com"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        email_address(text)
