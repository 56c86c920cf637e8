"""What of an endpoint's answer gets into the log: enough to see what is wrong, and nobody's secrets."""

from __future__ import annotations

import pytest

from activities.webhook_answers import LONGEST_EXCERPT, error_kind, excerpt
from connectors.sdk.outcomes import Phase
from connectors.sdk.transport import Delivered


def answered(content: bytes, status: int = 500) -> Delivered:
    return Delivered(Phase.ANSWERED, status, content=content)


@pytest.mark.parametrize(
    ("done", "kind"),
    [
        (answered(b"", 200), None),
        (answered(b"", 299), None),
        (answered(b"", 301), "http_301"),
        (answered(b"", 404), "http_404"),
        (Delivered(Phase.NOT_SENT, problem="no"), "not_sent"),
        (Delivered(Phase.NOT_SENT, problem="no", refused=True), "refused"),
        (Delivered(Phase.SENT, problem="stalled"), "no_answer"),
    ],
)
def test_each_outcome_has_a_name(done: Delivered, kind: str | None) -> None:
    assert error_kind(done) == kind


@pytest.mark.parametrize(
    "hidden",
    [
        "ann.reader@example.com",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "4111 1111 1111 1111",
        "+44 20 7946 0958",
        "sk_live_abcdef",
    ],
)
def test_what_may_be_secret_or_personal_is_hidden(hidden: str) -> None:
    text = excerpt(answered(f'{{"error": "cannot map {hidden} today"}}'.encode()))
    assert text is not None
    assert hidden not in text
    assert text.startswith('{"error": "cannot map ')
    assert text.endswith(' today"}')


def test_what_a_field_calls_personal_is_hidden() -> None:
    shown = excerpt(answered(b'{"error": "no match", "customer": {"first_name": "Ann"}, "code": 7}')) or ""
    assert "Ann" not in shown
    assert "no match" in shown
    assert "7" in shown


@pytest.mark.parametrize("text", ["password=hunter22", '"token": "abc"', "Authorization: Basic eDp5"])
def test_named_secrets_are_hidden(text: str) -> None:
    shown = excerpt(answered(text.encode())) or ""
    assert not any(secret in shown for secret in ("hunter22", "abc", "eDp5"))


def test_anything_becomes_one_short_printable_line() -> None:
    shown = excerpt(answered(b"line\r\nline\x00\x1b[31m\xff" + b" long" * 5000))
    assert shown is not None
    assert len(shown) <= LONGEST_EXCERPT
    assert "\x00" not in shown
    assert shown.isprintable() or "�" in shown
    assert excerpt(answered(b"")) is None
    assert excerpt(Delivered(Phase.SENT, problem="stalled")) == "stalled"
