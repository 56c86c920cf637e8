"""The mails that the rules ask for on an account's days are sent by mail."""

from __future__ import annotations

from pathlib import Path

from psycopg.types.json import Jsonb
from sqlalchemy import Engine

from runtime.scenario_source import read_scenario_file
from sandbox.smtp.stand_in import SmtpStandIn
from storage.database import PgConnection
from tests.mails.office import PUBLISHER, Office
from tests.whole.mirror import Mirror

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"


async def test_a_card_that_expired_down_to_the_cancellation(
    office: Office, engine: Engine, connection: PgConnection, test_server: SmtpStandIn
) -> None:
    source = read_scenario_file(SCENARIOS / "card-expired-to-cancellation.yaml")
    mirror = Mirror(engine, source.scenario, source.catalog)
    connection.execute(
        "insert into person (account_id, name, email) values (%s, 'Robin', 'robin@reader.example')",
        (mirror.account_id,),
    )
    connection.execute(
        "update rule_book set definition = definition || jsonb_build_object('publisher', %s::jsonb) where name = %s",
        (Jsonb(PUBLISHER), mirror.rule_book),
    )
    told: list[str] = []
    for step in source.scenario.steps:
        mirror.step(step)
        await office.turn()
        told = [mail.subject for mail in test_server.mails()]
    assert told == [
        "Your invoice TEST-1",
        "Your payment of $12.99 did not go through",
        "A payment is overdue",
        "We need another way to pay",
        "Your account is restricted",
        "Your credit note TCN-1",
    ]
    # By May all the rest came at once, and by then nothing was owed any more: it was written off.
    rows = connection.execute("select template, reason from mail where status = 'unsent'").fetchall()
    assert {reason for _, reason in rows} == {"overtaken"}
    assert {template for template, _ in rows} == {
        "payment-method-needed",
        "account-suspended",
        "subscription-canceled",
    }
