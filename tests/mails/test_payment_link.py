"""The link in mails about payments: one for each mail, to the account's own page, and for a while."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from runtime.card_sweep import sweep
from sandbox.smtp.stand_in import SmtpStandIn
from storage.database import PgConnection
from storage.events import NewEvent, append_events
from tests.api.served import client_for
from tests.mails.office import Office, add_payment, add_publisher, add_reader, notice

LINK = re.compile(r"https://hub\.harbor\.example(/pay/[0-9a-f]{32})\b")


def owe(connection: PgConnection, account: str) -> None:
    """An invoice of the account that is open."""
    connection.execute(
        "insert into invoice (id, mode, account_id, series, number, currency, issued_on, due_on, status, subtotal, tax,"
        " total, balance, chain_hash) values (gen_random_uuid(), 'live', %s, 'INV', 1, 'USD', '2026-11-01',"
        " '2026-11-15', 'open', 1290, 0, 1290, 1290, '')",
        (account,),
    )


@pytest.mark.parametrize(
    ("code", "words", "button"),
    [
        ("authentication_required", "your bank wants you to confirm it", "Confirm the payment: https://hub"),
        ("lost_card", "cannot be charged any more", "Add a payment method: https://hub"),
        ("insufficient_funds", "your bank or card declined it", "Check payment method: https://hub"),
    ],
)
async def test_a_failed_payment_says_what_to_do_and_where(
    office: Office, connection: PgConnection, server: SmtpStandIn, code: str, words: str, button: str
) -> None:
    account = add_reader(connection, "A")
    owe(connection, account)
    payment = add_payment(connection, account, status="failed", told=False)
    connection.execute("update payment set code = %s where id = %s", (code, payment))
    append_events(connection, [NewEvent("payment.failed", account, payment, 1)])
    await office.turn()
    [mail] = server.mails("a@reader.example")
    text = " ".join((mail.text or "").split())
    assert words in text
    assert button in text


async def test_each_mail_about_a_payment_has_a_link_of_its_own(
    office: Office, connection: PgConnection, server: SmtpStandIn, url: str, tmp_path: Path
) -> None:
    for key in "AB":
        notice(connection, add_reader(connection, key), "card-expiring")
    await office.turn()
    paths = {}
    for key in "ab":
        [mail] = server.mails(f"{key}@reader.example")
        found = LINK.search(mail.text or "")
        assert found is not None, mail.text
        assert f'href="https://hub.harbor.example{found[1]}"' in (mail.html or "")
        paths[key] = found[1]
    assert paths["a"] != paths["b"]
    with client_for(url, tmp_path) as client:
        client.headers.clear()
        assert "Nothing is due" in client.get(paths["a"]).text
        connection.execute(
            "update payment_link set expires_at = now() where account_id ="
            " (select id from account where external_key = 'A')"
        )
        assert client.get(paths["a"]).status_code == 410
        assert client.get(paths["b"]).status_code == 200
        sweep(office.engine, date(2026, 12, 1))
        assert client.get(paths["a"]).status_code == 410
        connection.execute("update payment_link set expires_at = expires_at - interval '91 days'")
        sweep(office.engine, date(2026, 12, 1))
        assert client.get(paths["a"]).status_code == 404, "nobody needs it any more"
        assert client.get(paths["b"]).status_code == 410
    stored = connection.execute(
        "select (select string_agg(request::text, '') from connector_call), count(*) from payment_link"
    ).fetchone()
    assert stored is not None
    assert stored[1] == 1
    assert paths["b"].removeprefix("/pay/") not in (stored[0] or ""), "only a hash of the token is kept"


async def test_without_an_address_of_ours_the_mail_leads_to_the_account(
    office: Office, connection: PgConnection, server: SmtpStandIn
) -> None:
    add_publisher(
        connection, mails={"sender": "x@harbor.example", "account_url": "https://harbor.example/me"}
    )
    notice(connection, add_reader(connection, "A"), "card-expiring")
    await office.turn()
    [mail] = server.mails("a@reader.example")
    assert "https://harbor.example/me" in (mail.text or "")
    assert connection.execute("select count(*) from payment_link").fetchone() == (0,)
