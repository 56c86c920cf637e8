"""What the rules ask for on the days of accounts and subscriptions is sent by mail."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from psycopg.types.json import Jsonb
from sqlalchemy import Engine
from uuid_utils import uuid7

from operations.follow_ups.carrying import carry_out_follow_ups
from runtime.scenario_source import read_scenario_file
from sandbox.smtp.stand_in import SmtpStandIn
from storage.database import PgConnection
from tests.mails.office import PUBLISHER, Office, add_reader
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
    assert Counter(told) == {
        "Your invoice TEST-1": 1,
        "Your payment of $13.07 did not go through": 1,
        "A payment is overdue": 1,
        "We need another way to pay": 3,
        "Your account is restricted": 1,
        "Your credit note TCN-1": 1,
    }
    # By May all the rest came at once, and by then nothing was owed any more: it was written off.
    rows = connection.execute("select template, reason from mail where status = 'unsent'").fetchall()
    assert {reason for _, reason in rows} == {"overtaken"}
    assert {template for template, _ in rows} == {
        "payment-method-needed",
        "account-suspended",
        "subscription-canceled",
    }


async def test_a_notice_of_a_subscription_tells_its_dates(
    office: Office, engine: Engine, connection: PgConnection, server: SmtpStandIn
) -> None:
    account, subscription, demand = add_reader(connection, "A"), str(uuid7()), str(uuid7())
    connection.execute(
        "insert into subscription (id, account_id, external_key, status, starts_on, trial_ends_on, anchor_on,"
        " anchor_day, interval_unit, interval_count, opening_on, charged_through, arrears_through)"
        " values (%s, %s, 'Weekend', 'trialing', '2026-12-01', '2026-12-20', '2026-12-20', 20, 'month', 1,"
        " '2026-12-01', '2026-12-20', '2026-12-20')",
        (subscription, account),
    )
    connection.execute(
        "insert into follow_up (id, subscription_id, account_id, kind, key, due_at, about)"
        " values (%s, %s, %s, 'notice', 'trial_ends/2026-12-20', '2026-12-17', %s)",
        (demand, subscription, account, Jsonb({"notice": "trial_ends"})),
    )
    for _ in range(2):
        carry_out_follow_ups(engine, subscription, datetime(2026, 12, 17, tzinfo=UTC))
        await office.turn()
    (mail,) = server.mails()
    assert mail.subject == "Your trial ends on December 20, 2026"
    assert 'your trial of "Weekend" ends on December 20, 2026' in (mail.text or "")
