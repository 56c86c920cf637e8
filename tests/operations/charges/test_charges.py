"""A charge from its beginning to what it came to, by the rows: told twice, late, in another order, or when somebody
else has paid meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from domain.account.collecting import sent
from domain.account.corrections import grant
from domain.account_credit import Source
from domain.ledger_events import Event
from domain.rule_book import RuleBook
from operations.charges.begin import Begun, Why
from storage.charges import charge_of_key
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.charges.charged import NOW, Fleet


@pytest.fixture(scope="module")
def fleet(pg_server: PostgresForTests) -> Iterator[Fleet]:
    engine = make_engine(pg_server.fresh_database("charges"))
    yield Fleet(engine, 24)
    engine.dispose()


@pytest.fixture
def account(fleet: Fleet) -> str:
    """One that no test has touched."""
    return fleet.accounts.pop()


def only(fleet: Fleet, account: str, **ask: object) -> Begun:
    [begun] = fleet.begin(account, **ask).begun
    return begun


def open_parts(fleet: Fleet, account: str) -> int:
    found = fleet.rows(
        "select count(*) from charge_part p join charge c on c.id = p.charge_id where c.account_id = %s and p.open",
        account,
    )
    return int(found[0][0])


def test_what_is_due_is_charged_once_while_it_is_in_flight(fleet: Fleet, account: str) -> None:
    [(status, balance)] = fleet.invoices(account)
    begun = only(fleet, account)
    assert (status, begun.amount, begun.connection) == ("open", balance, "cards")
    assert charge_of_key(begun.call.key) == (account, 1)
    assert len(begun.call.key) <= 64
    again = fleet.begin(account)
    assert ([each.why for each in again.left], again.begun) == ([Why.IN_FLIGHT], [])
    [(call_status, request)] = fleet.rows(
        "select status, request from connector_call where id = %s", begun.call.call_id
    )
    assert call_status == "intent"
    assert (request["amount"], request["reference"]) == (balance, begun.call.key)


def test_a_success_told_twice_is_one_payment(fleet: Fleet, account: str) -> None:
    begun = only(fleet, account)
    first = fleet.tell(begun.charge_id, "succeeded", gateway_id="pi_1")
    second = fleet.tell(begun.charge_id, "succeeded", gateway_id="pi_1")
    assert (first.changed, second.changed) == (True, False)
    assert first.payment_id == second.payment_id is not None
    assert fleet.invoices(account) == [("paid", 0)]
    assert fleet.payments(account) == [("succeeded", begun.amount, None)]
    assert open_parts(fleet, account) == 0
    assert fleet.begin(account).left[0].why is Why.NOTHING_DUE
    [(kinds,)] = fleet.rows(
        "select array_agg(kind order by id) from event_log"
        " where account_id = %s and kind like any('{payment.%%,invoice.paid}')",
        account,
    )
    assert sorted(kinds) == ["invoice.paid", "payment.succeeded"]
    assert fleet.rows("select gateway_id from payment where account_id = %s", account) == [("pi_1",)]
    fleet.lawful()


def test_a_late_failure_does_not_reopen_what_is_paid(fleet: Fleet, account: str) -> None:
    begun = only(fleet, account)
    fleet.tell(begun.charge_id, "succeeded")
    late = fleet.tell(begun.charge_id, "failed", code="card_declined")
    assert (late.changed, late.status) == (False, "succeeded")
    assert fleet.invoices(account) == [("paid", 0)]
    assert fleet.collecting(account) is None


def test_money_that_came_after_a_failure_is_money(fleet: Fleet, account: str) -> None:
    begun = only(fleet, account)
    fleet.tell(begun.charge_id, "failed", code="insufficient_funds")
    assert fleet.collecting(account)["failed"] == ["2026-12-01"]
    came = fleet.tell(begun.charge_id, "succeeded")
    assert came.changed
    assert fleet.invoices(account) == [("paid", 0)]
    assert [row[0] for row in fleet.payments(account)] == ["failed", "succeeded"]
    assert fleet.collecting(account) is None
    fleet.lawful()


def test_a_failure_waits_for_the_day_of_its_retry_under_a_new_key(fleet: Fleet, account: str) -> None:
    begun = only(fleet, account)
    fleet.tell(begun.charge_id, "failed", code="insufficient_funds")
    assert fleet.payments(account) == [("failed", begun.amount, "insufficient_funds")]
    assert fleet.begin(account).left[0].why is Why.WAITS_FOR_RETRY
    later = only(fleet, account, now=NOW + timedelta(days=5))
    assert charge_of_key(later.call.key) == (account, 2)
    fleet.tell(later.charge_id, "succeeded", now=NOW + timedelta(days=5))
    assert fleet.collecting(account) is None


def test_a_new_card_is_tried_at_once(fleet: Fleet, account: str) -> None:
    begun = only(fleet, account)
    fleet.tell(begun.charge_id, "failed", code="expired_card")
    assert fleet.begin(account, now=NOW + timedelta(days=30)).left[0].why is Why.WAITS_FOR_RETRY
    assert only(fleet, account, heed_retries=False).amount == begun.amount


def test_a_timeout_is_no_decline(fleet: Fleet, account: str) -> None:
    begun = only(fleet, account)
    came = fleet.tell(begun.charge_id, "failed", code="gateway_timeout")
    assert came.status == "unknown"
    [(status, look_at)] = fleet.rows("select status, next_look_at from charge where id = %s", begun.charge_id)
    assert status == "unknown"
    assert look_at > NOW
    assert fleet.collecting(account) is None
    assert fleet.begin(account, now=NOW + timedelta(days=90)).left[0].why is Why.IN_FLIGHT


def test_what_is_in_flight_is_not_made_unknown(fleet: Fleet, account: str) -> None:
    begun = only(fleet, account)
    fleet.tell(begun.charge_id, "processing", gateway_id="py_1")
    fleet.tell(begun.charge_id, "unknown", look_at=NOW + timedelta(hours=1))
    [(status, own)] = fleet.rows("select status, gateway_id from charge where id = %s", begun.charge_id)
    assert (status, own) == ("processing", "py_1")
    fleet.tell(begun.charge_id, "succeeded")
    assert fleet.rows("select gateway_id from payment where account_id = %s", account) == [("py_1",)]


def test_a_charge_of_what_somebody_paid_meanwhile_becomes_credit(fleet: Fleet, account: str) -> None:
    begun = only(fleet, account)
    with fleet.changing(account) as unit:
        sent(unit.account, None, ())
    fleet.tell(begun.charge_id, "succeeded")
    assert [row[0] for row in fleet.payments(account)] == ["succeeded", "succeeded"]
    granted = fleet.rows("select amount, source from account_credit_grant where account_id = %s", account)
    assert granted == [(begun.amount, "overpayment")]
    fleet.lawful()


def test_a_failure_of_what_somebody_paid_meanwhile_collects_nothing(fleet: Fleet, account: str) -> None:
    begun = only(fleet, account)
    with fleet.changing(account) as unit:
        sent(unit.account, None, ())
    fleet.tell(begun.charge_id, "failed", code="insufficient_funds")
    assert [row[0] for row in fleet.payments(account)] == ["succeeded", "failed"]
    assert fleet.collecting(account) is None
    assert fleet.invoices(account) == [("paid", 0)]


def test_credit_in_hand_is_used_first(fleet: Fleet, account: str) -> None:
    [(_, owed)] = fleet.invoices(account)
    with fleet.changing(account) as unit:
        grant(unit.account, 100, Source.GOODWILL, "sorry")
        unit.account.post(Event.ACCOUNT_CREDIT_GRANTED, {"amount": 100}, "sorry")
    assert only(fleet, account).amount == owed - 100
    fleet.lawful()


def test_too_little_is_carried_forward(fleet: Fleet, account: str) -> None:
    [(_, owed)] = fleet.invoices(account)
    with fleet.changing(account) as unit:
        sent(unit.account, owed - 20, ())
    assert fleet.begin(account).left[0].why is Why.BELOW_MINIMUM


def test_who_is_not_charged(fleet: Fleet) -> None:
    manual, bare = fleet.accounts.pop(), fleet.accounts.pop()
    fleet.do("update account set auto_pay = false where id = %s", manual)
    fleet.do("update payment_method set retired_at = now() where account_id = %s", bare)
    left = {each.account_id: each.why for each in fleet.begin(manual, bare).left}
    assert left == {manual: Why.NO_AUTO_PAY, bare: Why.NO_METHOD}


def test_the_database_refuses_a_second_open_charge_of_an_invoice(fleet: Fleet, account: str) -> None:
    begun = only(fleet, account)
    with pytest.raises(psycopg.errors.UniqueViolation):
        fleet.do(
            "with c as (insert into charge (id, account_id, no, collection_id, made_on, currency, amount, connection,"
            " method) values (uuidv7(), %s, 9, uuidv7(), '2026-12-01', 'USD', 5, 'cards', 'm') returning id)"
            " insert into charge_part select c.id, p.invoice_id, 5 from c, charge_part p where p.charge_id = %s",
            account,
            begun.charge_id,
        )


def test_after_a_technical_failure_the_other_gateway_is_charged(fleet: Fleet, account: str) -> None:
    fleet.rule(RuleBook.model_validate({"gateways": {"rules": [{"to": ["cards", "reserve"]}]}}))
    fleet.give_card(account, "reserve", "stored-1")
    begun = only(fleet, account)
    came = fleet.tell(begun.charge_id, "failed", code="api_key_expired", technical=True)
    assert came.elsewhere is not None
    assert (came.elsewhere.connection, came.elsewhere.amount) == ("reserve", begun.amount)
    assert fleet.payments(account) == []
    assert fleet.tell(begun.charge_id, "failed", code="api_key_expired", technical=True).elsewhere is None
    assert fleet.begin(account).left[0].why is Why.IN_FLIGHT
    # The bank's no ends it: it would say no to the first gateway as well.
    last = fleet.tell(came.elsewhere.charge_id, "failed", code="do_not_honor")
    assert last.elsewhere is None
    assert [row[0] for row in fleet.payments(account)] == ["failed"]
    [(collections,)] = fleet.rows(
        "select count(distinct collection_id) from charge where account_id = %s", account
    )
    assert collections == 1


@pytest.mark.parametrize("code", ["do_not_honor", "gateway_timeout", "insufficient_funds"])
def test_a_decline_and_a_timeout_go_nowhere_else(fleet: Fleet, account: str, code: str) -> None:
    fleet.give_card(account, "reserve", "stored-1")
    begun = only(fleet, account)
    assert fleet.tell(begun.charge_id, "failed", code=code, technical=True).elsewhere is None
