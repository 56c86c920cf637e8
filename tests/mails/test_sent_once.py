"""A fact is told by mail once, whatever comes late, twice or not at all; what cannot be sent says so."""

from __future__ import annotations

import asyncio
import email
import email.policy
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import Engine

from activities.call_attempt import Patience
from contracts.parked import Action
from operations.mails.compose import CURABLE
from operations.parked.decide import Decision, decide
from sandbox.smtp.stand_in import SmtpStandIn
from storage.database import PgConnection, make_engine, transaction
from storage.events import NewEvent, append_events, reset_cursor
from storage.mails import requeue_mails
from tests.conftest import PostgresForTests
from tests.documents.shown import text_of
from tests.holding import writes_held
from tests.mails.office import Office, add_payment, add_publisher, add_reader, mails, notice
from tests.operations.billed import bench_fleet


async def test_a_receipt_on_paid_once(office: Office, connection: PgConnection, server: SmtpStandIn) -> None:
    account = add_reader(connection, "A")
    payment = add_payment(connection, account)
    await office.turn()
    (mail,) = server.mails()
    assert mail.recipients == ("a@reader.example",)
    assert mail.subject == "Your receipt for $12.90"
    assert mail.header("From") == "The Harbor Courier <service@harbor.example>"
    assert mail.header("To") == "Reader A <a@reader.example>"
    assert mail.header("List-Unsubscribe") is None
    assert "December 1, 2026" in (mail.text or "")
    assert "$12.90" in (mail.html or "")
    # A late webhook tells of the same again, with another version; then the whole log is read anew.
    append_events(connection, [NewEvent("payment.succeeded", account, payment, 7)])
    await office.turn()
    reset_cursor(connection, "mails")
    await office.turn()
    assert len(server.mails()) == 1
    assert mails(connection) == [("A", "receipt", "sent", None)]
    row = connection.execute("select message_id, locale, connection from mail").fetchone()
    assert row == (mail.message_id, "en", "post-live")


async def test_a_failure_that_came_late_is_not_told(
    office: Office, connection: PgConnection, server: SmtpStandIn
) -> None:
    account = add_reader(connection, "A")
    payment = add_payment(connection, account)
    append_events(connection, [NewEvent("payment.failed", account, payment, 1)])
    await office.turn()
    assert [mail.subject for mail in server.mails()] == ["Your receipt for $12.90"]
    assert mails(connection) == [
        ("A", "payment-failed", "unsent", "overtaken"),
        ("A", "receipt", "sent", None),
    ]


async def test_invoices_with_their_pdf(pg_server: PostgresForTests, server: SmtpStandIn) -> None:
    url = bench_fleet(pg_server, [date(2026, 12, 1)], accounts=6)
    engine = make_engine(url)
    office = Office(engine, url, {"live": server.address})
    with psycopg.connect(url, autocommit=True) as connection:
        add_publisher(connection)
        connection.execute(
            "insert into person (account_id, name, email) select id, 'Reader', id || '@reader.example' from account"
        )
        await office.turn()
        invoices = dict(
            connection.execute(
                "select h.email, i.series || '-' || i.number from invoice i join person h using (account_id)"
            ).fetchall()
        )
    found = server.mails()
    assert {mail.recipients[0] for mail in found} == set(invoices)
    assert len(found) == len(invoices) > 0
    for mail in found:
        message = email.message_from_bytes(mail.raw, policy=email.policy.default)
        (attached,) = message.iter_attachments()
        number = invoices[mail.recipients[0]]
        assert attached.get_filename() == f"{number}.pdf"
        assert number in mail.subject
        assert f"Invoice {number}" in text_of(attached.get_content())
    await office.aclose()
    engine.dispose()


async def test_nothing_personal_stays_behind(office: Office, connection: PgConnection) -> None:
    account = add_reader(connection, "Zenobia")
    add_payment(connection, account)
    notice(connection, account, "paused")
    await office.turn()
    assert [row[2] for row in mails(connection)] == ["sent", "sent"]
    for table in ("mail", "connector_call", "request_log", "parked"):
        for (row,) in connection.execute(f"select t::text from {table} t".encode()):
            assert "zenobia@" not in row
            assert "Reader Zenobia" not in row
    row = connection.execute("select count(*) from connector_call where request is not null").fetchone()
    assert row == (0,)


async def test_test_accounts_go_by_test_connections_only(
    office: Office, connection: PgConnection, server: SmtpStandIn, test_server: SmtpStandIn
) -> None:
    for key, mode in (("L", "live"), ("T", "test")):
        add_payment(connection, add_reader(connection, key, mode=mode))
    await office.turn()
    assert [mail.recipients for mail in server.mails()] == [("l@reader.example",)]
    assert [mail.recipients for mail in test_server.mails()] == [("t@reader.example",)]


async def test_a_name_in_the_rule_book_never_leads_to_the_other_mode(
    office: Office, connection: PgConnection, server: SmtpStandIn, test_server: SmtpStandIn
) -> None:
    add_publisher(connection, mails={"sender": "a@harbor.example", "connection": "post-live"})
    add_payment(connection, add_reader(connection, "T", mode="test"))
    await office.turn()
    assert (len(server.mails()), len(test_server.mails())) == (0, 1)


async def test_what_cannot_be_sent_says_so_and_can_be_sent_later(
    engine: Engine, url: str, connection: PgConnection, server: SmtpStandIn
) -> None:
    account = add_reader(connection, "A")
    lost = add_reader(connection, "B", email=None)
    nobody = Office(engine, url, {})
    for each in (account, lost):
        add_payment(connection, each)
    await nobody.turn()
    assert {row[2:] for row in mails(connection)} == {("unsent", "no_connection")}
    office = Office(engine, url, {"live": server.address})
    await office.turn()
    assert not server.mails()  # not by itself: what is old may not be wanted any more
    with transaction(engine) as own:
        assert requeue_mails(own, CURABLE, datetime(2000, 1, 1, tzinfo=UTC), None) == 2
    await office.turn()
    assert mails(connection) == [("A", "receipt", "sent", None), ("B", "receipt", "unsent", "no_address")]
    assert len(server.mails()) == 1
    for each in (office, nobody):
        await each.aclose()


async def test_without_a_sender_and_with_a_template_turned_off(
    office: Office, connection: PgConnection, server: SmtpStandIn
) -> None:
    account = add_reader(connection, "A")
    add_publisher(connection, mails={"off": ["receipt"]})
    add_payment(connection, account)
    notice(connection, account, "paused")
    await office.turn()
    assert mails(connection) == [("A", "paused", "unsent", "no_sender")]


async def test_after_the_mail_server_was_away_all_go_out(
    engine: Engine, url: str, connection: PgConnection, server: SmtpStandIn, office: Office
) -> None:
    away = Office(engine, url, {"live": "smtp://127.0.0.1:9"})
    for no in range(12):
        add_payment(connection, add_reader(connection, f"R{no}"))
    await away.turn()
    assert {row[2] for row in mails(connection)} <= {"waiting"}
    tried = connection.execute("select count(*) from connector_call").fetchone()
    assert tried is not None
    assert tried[0] == 12  # the first batch; then one at a time would have found out
    connection.execute("update mail set next_at = now()")
    connection.execute("update connector_call set connection = 'post-live'")
    await office.turn()
    assert {row[2] for row in mails(connection)} == {"sent"}
    assert sorted(mail.recipients[0] for mail in server.mails()) == sorted(
        f"r{no}@reader.example" for no in range(12)
    )
    await away.aclose()


async def test_a_mail_is_not_tried_for_ever(engine: Engine, url: str, connection: PgConnection) -> None:
    office = Office(
        engine,
        url,
        {"live": "smtp://127.0.0.1:9"},
        patience=Patience(transient=timedelta(), send=timedelta(seconds=1)),
    )
    add_payment(connection, add_reader(connection, "A"))
    await office.turn()
    assert mails(connection) == [("A", "receipt", "parked", "transient")]
    await office.aclose()


async def test_a_refused_address_is_parked_corrected_and_sent(
    office: Office, connection: PgConnection, engine: Engine, server: SmtpStandIn
) -> None:
    server.inject("rejected", times=1)
    add_payment(connection, add_reader(connection, "A"))
    add_payment(connection, add_reader(connection, "B"))
    await office.turn()
    rows = mails(connection)
    assert sorted(row[2] for row in rows) == ["parked", "sent"]
    assert len(server.mails()) == 1
    with transaction(engine) as own:
        park = own.execute("select id::text from parked where resolved_at is null").fetchone()
        assert park is not None
        decide(
            own,
            park[0],
            Decision(Action.EDIT, "tester", "she wrote", {"to": "right@reader.example"}),
            check=lambda _method, _payload: {},
        )
    await office.turn()
    assert {row[2] for row in mails(connection)} == {"sent"}
    assert sorted(mail.recipients[0] for mail in server.mails())[-1] == "right@reader.example"


async def test_what_may_have_been_sent_is_not_sent_again(
    office: Office, connection: PgConnection, engine: Engine, server: SmtpStandIn
) -> None:
    server.inject("drop_after", times=1)
    add_payment(connection, add_reader(connection, "A"))
    await office.turn()
    await office.turn()
    assert mails(connection) == [("A", "receipt", "parked", "unknown")]
    assert len(server.mails()) == 1
    with transaction(engine) as own:
        park = own.execute("select id::text from parked where resolved_at is null").fetchone()
        assert park is not None
        decide(own, park[0], Decision(Action.SKIP, "tester", "it is in the inbox"))
    await office.turn()
    assert mails(connection) == [("A", "receipt", "skipped", "decided by a person")]


async def test_three_workers_at_once_send_once(
    engine: Engine, url: str, connection: PgConnection, server: SmtpStandIn
) -> None:
    offices = [Office(engine, url, {"live": server.address}) for _ in range(3)]
    for no in range(15):
        add_payment(connection, add_reader(connection, f"R{no}"))
    await asyncio.gather(*(office.turn() for office in offices))
    assert {row[2] for row in mails(connection)} == {"sent"}
    assert len(server.mails()) == len({mail.message_id for mail in server.mails()}) == 15
    for office in offices:
        await office.aclose()


async def test_dunning_mails_by_name_once_a_version_and_only_while_something_is_open(
    office: Office, connection: PgConnection, server: SmtpStandIn
) -> None:
    owes, paid = add_reader(connection, "A", locale="de-DE", currency="EUR"), add_reader(connection, "B")
    connection.execute(
        "insert into invoice (id, mode, account_id, series, number, currency, issued_on, due_on, status, subtotal, tax,"
        " total, balance, chain_hash) values (gen_random_uuid(), 'live', %s, 'INV', 1, 'EUR', '2026-11-01',"
        " '2026-11-15', 'open', 1200, 228, 1428, 1428, '')",
        (owes,),
    )
    for account in (owes, paid):
        notice(connection, account, "payment_overdue", 1)
        notice(connection, account, "payment_overdue", 1)
        notice(connection, account, "payment-overdue", 2)
    await office.turn()
    assert [mail.subject for mail in server.mails()] == ["Eine Zahlung ist überfällig"] * 2
    assert "14,28 €" in (server.mails()[0].text or "").replace("\xa0", " ")
    assert {row[2:] for row in mails(connection) if row[0] == "B"} == {("unsent", "overtaken")}


@pytest.mark.parametrize("name", ["own-letter", "no-such-letter"])
async def test_a_template_of_the_publisher(
    name: str,
    engine: Engine,
    url: str,
    connection: PgConnection,
    server: SmtpStandIn,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "mails" / "en").mkdir(parents=True)
    (folder / "mails" / "en" / "own-letter.txt").write_text(
        "Subject: Hello {{ name }}\n\nWe write to {{ facts.account }}."
    )
    office = Office(engine, url, {"live": server.address}, templates=folder)
    notice(connection, add_reader(connection, "A"), name)
    await office.turn()
    if name == "own-letter":
        assert [mail.subject for mail in server.mails()] == ["Hello Reader A"]
    else:
        assert mails(connection) == [("A", name, "waiting", None)]
        row = connection.execute("select kind, error_kind, message from parked").fetchone()
        assert row is not None
        assert row[:2] == ("mail", "bad_template")
        assert "there is no mail template 'no-such-letter'" in row[2]
        (folder / "mails" / "en" / f"{name}.txt").write_text("Subject: Here\n\nit is.")
        connection.execute("update mail set next_at = now()")
        await office.turn()
        assert mails(connection) == [("A", name, "sent", None)]
        assert connection.execute("select count(*) from parked where resolved_at is null").fetchone() == (0,)
    await office.aclose()


async def test_no_mail_leaves_while_writes_are_held(
    office: Office, connection: PgConnection, server: SmtpStandIn, url: str
) -> None:
    add_payment(connection, add_reader(connection, "A"))
    with writes_held(url):
        await office.turn()
        assert server.mails() == []
        assert [each[2] for each in mails(connection)] == ["waiting"]
    await office.turn()
    assert len(server.mails()) == 1
