"""Marketing goes only to those who agreed to it, and ends with one click."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.smtp.stand_in import SmtpStandIn
from storage.database import PgConnection
from tests.api.served import client_for
from tests.mails.office import SENDER, Office, add_publisher, add_reader, mails, notice


@pytest.mark.parametrize("consent", [True, False, None])
async def test_only_with_consent(
    consent: bool | None, office: Office, connection: PgConnection, server: SmtpStandIn
) -> None:
    notice(connection, add_reader(connection, "A", consent=consent), "win_back")
    await office.turn()
    if consent:
        assert mails(connection) == [("A", "win-back", "sent", None)]
        (mail,) = server.mails()
        link = (mail.header("List-Unsubscribe") or "").strip()
        assert re.fullmatch(r"<https://hub\.harbor\.example/unsubscribe/[\w-]{32}>", link)
        assert mail.header("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
        assert link.strip("<>") in (mail.text or "")
        assert link.strip("<>") in (mail.html or "")
    else:
        assert mails(connection) == [("A", "win-back", "unsent", "no_consent")]
        assert not server.mails()


async def test_not_without_a_way_to_end_it(office: Office, connection: PgConnection) -> None:
    add_publisher(connection, mails={"sender": SENDER})
    notice(connection, add_reader(connection, "A", consent=True), "win-back")
    await office.turn()
    assert mails(connection) == [("A", "win-back", "unsent", "no_unsubscribe_url")]


async def test_one_click_ends_it(
    office: Office, connection: PgConnection, server: SmtpStandIn, url: str, tmp_path: Path
) -> None:
    account, other = (add_reader(connection, key, consent=True) for key in "AB")
    for each in (account, other):
        notice(connection, each, "win-back")
    await office.turn()
    link = next(mail.header("List-Unsubscribe") or "" for mail in server.mails("a@reader.example"))
    path = link.strip(" <>").removeprefix("https://hub.harbor.example")

    def consent() -> dict[str, bool | None]:
        rows = connection.execute(
            "select a.external_key, h.consent from account a join person h on h.account_id = a.id"
        )
        return dict(rows.fetchall())

    with client_for(url, tmp_path) as client:
        client.headers.clear()  # a mail program has no key
        page = client.get(path)
        assert page.status_code == 200
        assert '<form method="post">' in page.text
        assert consent() == {"A": True, "B": True}  # scanners follow links
        for _ in range(2):
            assert client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        assert consent() == {"A": False, "B": True}
        assert client.post("/unsubscribe/" + "x" * 32).status_code == 404
        assert client.post("/unsubscribe/'").status_code == 404
    told = connection.execute("select actor, reason from audit where action = 'consent'").fetchall()
    assert [actor for actor, _ in told] == ["reader"]
    assert "unsubscribed by the link in mail" in told[0][1]
    notice(connection, account, "win-back", 2)
    await office.turn()
    assert len(server.mails("a@reader.example")) == 1
    assert mails(connection)[-2:-1] == [("A", "win-back", "unsent", "no_consent")]
    # The link itself is nowhere.
    token = path.rpartition("/")[2]
    for table in ("mail", "connector_call", "request_log", "audit"):
        rows = connection.execute(f"select t::text from {table} t".encode()).fetchall()
        assert not any(token in row for (row,) in rows)
