"""What is written for many plain accounts at once is what the whole path writes for each, row by row."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine

from bench.fleet import DUE
from domain.account.collecting import sent
from domain.account.corrections import grant
from domain.account_credit import Source
from domain.ledger_events import Event
from operations.charges.settling import settle
from operations.dump import dump
from operations.verify import verify
from storage.charge_calls import begin_sends, end_sends
from storage.database import make_engine, transaction
from storage.plain_payments import plain_charges
from tests.conftest import PostgresForTests
from tests.operations.billed import bench_fleet, copied, example_fleet
from tests.operations.charges.charged import NOW, Fleet

# Every column but ids that are new in each database, and moments. Rows are told by what they belong to.
COMPARED = {
    "account": "select * from account order by id",
    "subscription": "select * from subscription order by id",
    "invoice": "select * from invoice order by id",
    "invoice_settlement": "select * from invoice_settlement order by invoice_id",
    "payment": "select account_id, no, mode, made_on, currency, amount, status, refunded, code, gateway_id"
    " from payment order by account_id, no",
    "payment_application": "select p.account_id, p.no, a.invoice_id, a.amount from payment_application a"
    " join payment p on p.id = a.payment_id order by 1, 2, 3",
    "journal": "select e.account_id, e.document, e.mode, e.kind, e.currency, e.posted_on, l.no, l.ledger_account,"
    " l.debit, l.credit from journal_entry e join journal_line l on l.entry_id = e.id where e.account_id is not null"
    " order by 1, 2, 7",
    "event_log": "select e.kind, e.account_id, coalesce(p.no::text, e.subject_id::text), e.version from event_log e"
    " left join payment p on p.id = e.subject_id order by 1, 2, 3, 4",
    "charge": "select c.account_id, c.no, c.status, c.code, c.technical, c.gateway_id, c.ended_at, c.sent_at,"
    " c.next_look_at, p.no from charge c left join payment p on p.id = c.payment_id order by 1, 2",
    "charge_part": "select c.account_id, c.no, p.invoice_id, p.amount, p.open from charge_part p"
    " join charge c on c.id = p.charge_id order by 1, 2, 3",
    "account_history": "select * from account_history order by account_id",
    "entitlement_grant": "select account_id, feature, source_id, starts_at, ends_at from entitlement_grant"
    " order by 1, 2, 3, 4",
    "follow_up": "select subscription_id, kind, key, due_at from follow_up order by 1, 2, 3",
    "dunning_case": "select account_id, state, amount, invoices, closed_at, outcome from dunning_case order by 1, 2",
    "account_credit_grant": "select * from account_credit_grant order by account_id, no",
}


@pytest.fixture(scope="module")
def template(pg_server: PostgresForTests) -> str:
    """A fleet whose charges are begun: plain accounts, and some with credit, money sent, a declined charge before."""
    url = bench_fleet(pg_server, [DUE], accounts=40)
    engine = make_engine(url)
    _begun(engine)
    engine.dispose()
    return url


@pytest.fixture(scope="module")
def example(pg_server: PostgresForTests) -> str:
    """The example's subscribers: bundles, trials, usage, three currencies."""
    url = example_fleet(pg_server, [date(2026, 12, 1)])
    engine = make_engine(url)
    _begun(engine)
    engine.dispose()
    return url


def _begun(engine: Engine) -> None:
    fleet = Fleet.there(engine)
    fleet.do("update account set auto_pay = true")
    for account in fleet.accounts[-160:]:
        fleet.give_card(account)
    owing = [
        account
        for account in fleet.accounts[-160:]
        if ("open" in {row[0] for row in fleet.invoices(account)})
    ]
    for account in owing[:4]:
        with fleet.changing(account) as unit:
            sent(unit.account, 100, ())
    for account in owing[4:8]:
        with fleet.changing(account) as unit:
            grant(unit.account, 100, Source.GOODWILL, "sorry")
            unit.account.post(Event.ACCOUNT_CREDIT_GRANTED, {"amount": 100}, "sorry")
    [*begun] = fleet.begin().begun
    for each in begun[8:12]:
        fleet.tell(each.charge_id, "failed", code="insufficient_funds")
    for each in begun[12:14]:
        fleet.tell(each.charge_id, "processing", gateway_id="early")


def _settled(url: str, *, plainly: bool) -> tuple[dict[str, list[tuple[Any, ...]]], list[str]]:
    engine = make_engine(url)
    try:
        fleet = Fleet.there(engine)
        calls: dict[str, str] = dict(
            fleet.rows(
                "select c.id::text, l.id::text from charge c join connector_call l"
                " on l.key = 'charge:' || c.account_id || ':' || c.no where c.ended_at is null"
            )
        )
        answer = {"id": "pi_1", "status": "succeeded"}
        with transaction(engine) as connection:
            assert len(begin_sends(connection, list(calls.values()))) == len(calls)
            end_sends(connection, dict.fromkeys(calls.values(), answer))
        with transaction(engine) as connection:
            if plainly:
                plain = plain_charges(connection, list(calls), NOW)
                assert len(plain) >= len(calls) / 3, "next to nothing is plain: the comparison proves little"
            came = settle(connection, fleet.tariffs.current(), calls, NOW, plainly=plainly)
        assert len(came) == len(calls)
        assert [law for law in verify(engine) if not law.ok] == []
        return {name: fleet.rows(query) for name, query in COMPARED.items()}, list(dump(engine))
    finally:
        engine.dispose()


@pytest.mark.parametrize("fleet", ["template", "example"])
def test_at_once_is_as_one_by_one(
    pg_server: PostgresForTests, fleet: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(fleet)
    quick, said = _settled(copied(pg_server, url), plainly=True)
    slow, told = _settled(copied(pg_server, url), plainly=False)
    for name, rows in slow.items():
        if name == "follow_up":  # the whole path also notes what was owed before
            assert {*quick[name]} <= {*rows}
        else:
            assert quick[name] == rows, name
    assert said == told
