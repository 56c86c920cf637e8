"""Nothing secret and nothing personal in logs, errors and reprs; enough left to find a fault."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any

import pytest

from connectors.sdk.auth import Basic, Bearer
from connectors.sdk.errors import ConnectorError
from connectors.sdk.http import Http
from connectors.sdk.redaction import excerpt, is_personal, learn, personal_values, redact, redact_value
from tests.connectors.sdk import wire
from tests.connectors.sdk.wire import CANARY, Shop, answer, log_of, raw_server, shop

PERSON = {
    "customer": {"first_name": "Annabella", "familyName": "Karlssonova", "Email": "annabella@kund.example"},
    "shipTo": {"line1": "Storgatan 5 C", "city": "Uppsala", "postalCode": "75310", "country": "SE"},
    "Phone": "+46 70 123 45 67",
    "amount": 1200,
}
CANARIES = (CANARY, "Annabella", "Karlssonova", "annabella@kund", "Storgatan", "+46 70 123")


def _clean(text: str) -> None:
    for canary in CANARIES:
        assert canary.lower() not in text.lower(), f"{canary} in {text}"


def everything_of(error: BaseException) -> str:
    """All that any log could show of an exception, its chain included."""
    shown = []
    while error is not None:
        shown += [repr(error), str(error), repr(vars(error)), repr(error.args)]
        shown += traceback.format_exception(type(error), error, error.__traceback__, chain=True)
        following = error.__cause__ or error.__context__
        if following is None:
            break
        error = following
    # The source lines of this test quote nothing of the canaries but their names.
    return "\n".join(shown)


class Signed(Shop):
    name = "signed"
    http = Http(auth=Basic("api_key", "api_key"))


class Carrying(Shop):
    name = "carrying"
    http = Http(auth=Bearer("api_key"))


ECHO = {
    "message": f"Karlssonova, Storgatan 5 C is no address; mail annabella@kund.example; key {CANARY}",
    "code": "BAD_ADDRESS",
    "you_sent": PERSON,
    "headers": {"Authorization": f"Bearer {CANARY}", "X-Api-Key": CANARY, "Cookie": "session=1"},
}


@pytest.mark.parametrize("kind", [Shop, Signed, Carrying])
@pytest.mark.parametrize(
    "act",
    [
        answer(422, ECHO),
        answer(400, ECHO),
        answer(500, ECHO),
        answer(200, ECHO),
        answer(429, ECHO),
        wire.html(500),
        answer(200, json.dumps(ECHO).encode()[:-9], wire.JSON),
        wire.drop_after,
        answer(302, b"", {"Location": f"https://evil.example/?key={CANARY}&mail=annabella@kund.example"}),
    ],
)
async def test_no_secret_and_no_person_is_shown_anywhere(
    kind: type[Shop], act: wire.Act, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with raw_server(act) as server, shop(server.url, kind) as connector:
        error: ConnectorError | None = None
        try:
            answered: Any = await connector.write(
                PERSON, into=dict[str, int], params={"email": "annabella@kund.example", "key": CANARY}
            )
        except ConnectorError as raised:
            error = raised
        else:
            _clean(repr(answered))
        assert server.received, "the request was to be sent"
        assert CANARY in server.received[0].target
        assert server.received[0].json == PERSON, "what is sent is whole"
        if error is not None:
            _clean(everything_of(error))
            assert error.__cause__ is None
            assert error.__context__ is None
        _clean(repr(log_of(connector).entries))
        _clean(repr([connector.http, connector.http.sender, kind.http, connector.config]))
        _clean(caplog.text)
        _clean(repr([record.__dict__ for record in caplog.records]))


async def test_a_path_that_an_author_put_together_himself_is_redacted_too() -> None:
    path = f"/people/annabella@kund.example/{CANARY}"
    async with raw_server(answer(404, {})) as server, shop(server.url) as connector:
        with pytest.raises(ConnectorError) as raised:
            await connector.read(path)
        _clean(everything_of(raised.value) + repr(log_of(connector).entries))
        assert "GET /people/[mail]/[secret] answered 404" in raised.value.message


async def test_what_helps_to_find_a_fault_stays() -> None:
    async with (
        raw_server(
            answer(422, {"error": {"message": "amount too high for Annabella", "code": "E1"}})
        ) as server,
        shop(server.url) as connector,
    ):
        with pytest.raises(ConnectorError, match=r"amount too high for \[personal\]; code E1"):
            await connector.write(PERSON)
        (entry,) = log_of(connector).entries
    assert entry.request is not None
    assert json.loads(entry.request) == {
        "customer": dict.fromkeys(PERSON["customer"], "[personal]"),  # type: ignore[call-overload]
        "shipTo": {"line1": "[personal]", "city": "[personal]", "postalCode": "[personal]", "country": "SE"},
        "Phone": "[personal]",
        "amount": 1200,
    }


@pytest.mark.parametrize("form", ["plain", "quoted", "json", "base64"])
def test_a_learnt_secret_is_found_in_the_forms_in_which_it_travels(form: str) -> None:
    import base64
    from urllib.parse import quote

    secret = 'pa"ss/wörd+1&x'
    learn(secret)
    told = {
        "plain": secret,
        "quoted": quote(secret, safe=""),
        "json": json.dumps({"k": secret}),
        "base64": base64.b64encode(secret.encode()).decode(),
    }[form]
    assert "[secret]" in redact(f"said {told}.")
    assert "ss/w" not in redact(f"said {told}.")


def test_fields_are_personal_or_secret_by_their_names() -> None:
    for name in (
        "firstName",
        "LAST_NAME",
        "e-mail",
        "PersonEmail",
        "MailingStreet",
        "zip",
        "mobile_phone",
        "dob",
    ):
        assert is_personal(name), name
    for name in ("amount", "currency", "code", "status", "country", "id", "quantity", "sku"):
        assert not is_personal(name), name
    masked = redact_value({"client_secret": "abc", "items": [{"access_token": "t", "n": 1}], "tokens": ["u"]})
    assert masked == {
        "client_secret": "[secret]",
        "items": [{"access_token": "[secret]", "n": 1}],
        "tokens": ["u"],
    }


def test_forms_are_read_as_json_is_and_other_bodies_are_only_counted() -> None:
    form = b"shipping%5Baddress%5D%5Bline1%5D=Storgatan+5&amount=10"
    assert excerpt(form, "application/x-www-form-urlencoded") == (
        '{"shipping[address][line1]": "[personal]", "amount": "10"}'
    )
    assert "Storgatan 5" in personal_values(form, "application/x-www-form-urlencoded")
    assert excerpt(b"<p>Annabella</p>", "text/html; charset=utf-8") == "[16 bytes of text/html]"
    assert excerpt(b"", "text/html") is None


def test_an_excerpt_ends() -> None:
    shown = excerpt(json.dumps({"codes": ["x" * 50] * 500}).encode(), "application/json")
    assert shown is not None
    assert len(shown) <= 2001


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key mh_Qm9yZWQgcGVvcGxlIHJlYWQ here", "key [secret] here"),
        ("sk_test_4eC39HqLyjWDarjtT1zdp7dc", "[secret]"),
        (
            "postgresql://masthead:hush@db.example/masthead",
            "postgresql://masthead:[secret]@db.example/masthead",
        ),
        ("https://db.example/path?a=b", "https://db.example/path?a=b"),
        ("paid with 4242424242424242", "paid with [card]"),
        ("mh_short and task_queue_of_the_masthead stay", "mh_short and task_queue_of_the_masthead stay"),
    ],
)
def test_what_looks_like_a_secret_is_one(text: str, shown: str) -> None:
    assert redact(text) == shown
