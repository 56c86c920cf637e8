"""Who tells of cards that expire, of gifts that were paid and of parcels that have left: each once."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import uuid_utils
from sqlalchemy import Engine

from domain.account.commands import BuyGift, Pay
from operations.accounts.commands import accepted, carry_out
from operations.calls.prepare import CallOrder, prepare_call
from operations.calls.sending import succeed
from operations.catalog import load_catalog
from operations.tariffs import Tariffs
from runtime.card_sweep import sweep
from runtime.catalog_source import read_catalog_file
from sandbox.smtp.stand_in import SmtpStandIn
from storage.database import PgConnection, transaction
from tests.mails.office import Office, add_reader, mails
from tests.subscribers import add_subscription

CATALOG = Path(__file__).parents[2] / "examples" / "catalog.yaml"


def card(connection: PgConnection, account: str, expires_on: date, *, default: bool = True) -> str:
    own = str(uuid_utils.uuid7())
    connection.execute(
        "insert into payment_method (id, account_id, connection, method, expires_on, is_default)"
        " values (%s, %s, 'cards', %s, %s, %s)",
        (own, account, f"pm_{own}", expires_on, default),
    )
    return own


def payer(connection: PgConnection) -> str:
    subscription = add_subscription(connection)
    row = connection.execute(
        "select account_id::text from subscription where id = %s", (subscription,)
    ).fetchone()
    assert row is not None
    connection.execute(
        "insert into person (account_id, name, email) values (%s, 'Ada', 'ada@reader.example')", (row[0],)
    )
    return str(row[0])


async def test_a_card_that_expires_is_told_of_once_a_month(
    engine: Engine, office: Office, connection: PgConnection, server: SmtpStandIn
) -> None:
    account = payer(connection)
    card(connection, account, date(2026, 12, 31))
    card(connection, account, date(2026, 12, 15), default=False)  # nothing is charged to it
    card(connection, add_reader(connection, "IDLE"), date(2026, 12, 31))  # subscribes to nothing
    assert sweep(engine, date(2026, 11, 30)) == 0  # 31 days are too early
    assert [sweep(engine, date(2026, 12, day)) for day in (1, 2, 30)] == [1, 0, 0]
    assert sweep(engine, date(2027, 1, 1)) == 0
    connection.execute("update payment_method set expires_on = '2027-12-31' where expires_on = '2026-12-31'")
    assert sweep(engine, date(2027, 12, 5)) == 1  # the new card of the same token, a year later
    await office.turn()
    assert [mail.subject for mail in server.mails()] == ["Your card expires soon"] * 2


async def test_a_gift_is_told_of_once_it_is_paid(
    engine: Engine, office: Office, connection: PgConnection, server: SmtpStandIn
) -> None:
    load_catalog(engine, read_catalog_file(CATALOG).catalog)
    account = add_reader(connection, "GIVER")
    connection.execute("update account set tax_region = 'US-NY' where id = %s", (account,))
    tariff, now = Tariffs(engine).current(), datetime(2026, 12, 1, 9, tzinfo=UTC)
    with transaction(engine) as database:
        step = BuyGift(at=now, do="gift", plan="digital-monthly", name="for Bob")
        accepted(carry_out(database, tariff, account, "gift", step, now))
    await office.turn()
    assert "gift" not in [template for _, template, _, _ in mails(connection)]
    for number in (1, 2):
        with transaction(engine) as database:
            paid = Pay(at=now, do="pay", amount="500.00")
            accepted(carry_out(database, tariff, account, f"pay-{number}", paid, now))
        await office.turn()
    assert [template for _, template, _, _ in mails(connection)].count("gift") == 1
    assert "A gift is waiting for you" in [mail.subject for mail in server.mails()]


async def test_a_parcel_is_told_of_when_its_label_is_bought(
    engine: Engine, office: Office, connection: PgConnection, server: SmtpStandIn
) -> None:
    account = add_reader(connection, "A")
    with transaction(engine) as database:
        order = CallOrder("parcels", "shipping.buy", "order-1", {"order": "order-1"}, account_id=account)
        call = prepare_call(database, order).ref.call_id
        for _ in range(2):
            succeed(database, call, {"id": "label-1"})
    await office.turn()
    assert [mail.subject for mail in server.mails()] == ["Your delivery is on its way"]
