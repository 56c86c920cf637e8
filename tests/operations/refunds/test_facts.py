"""What gateways tell of refunds and disputes, in every order and repeated: one final state, and books that hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.sdk.capabilities.payment import Decline
from connectors.sdk.capabilities.payment_facts import Happened, PaymentFact
from domain.rule_book import RuleBook
from operations.accounts.commands import CommandRefused
from operations.refunds.disputes import attach, note
from operations.refunds.facts import apply_facts
from operations.rule_books import load_rule_book
from storage.database import make_engine, transaction
from storage.disputes import list_disputes
from tests.conftest import PostgresForTests
from tests.workflows.refunding import Paid, Till

H = Happened
NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)


class World(NamedTuple):
    """A database with one payment after another."""

    till: Till

    def payment(self) -> Paid:
        """A new account's, through the gateway `cards`."""
        account, total = self.till.invoiced()
        return self.till.settled(account, total, "cards", f"pi_{uuid4().hex}")

    def tell(self, facts: Sequence[PaymentFact]) -> None:
        """The gateway tells, one delivery after the other."""
        for fact in facts:
            with transaction(self.till.engine) as connection:
                apply_facts(connection, self.till.tariffs.current(connection), "cards", [fact], NOW)

    def books(self, paid: Paid) -> dict[str, int]:
        """The account's balances, debit less credit."""
        rows = self.till.rows(
            "select l.ledger_account, sum(l.debit - l.credit) from journal_line l join journal_entry e"
            " on e.id = l.entry_id where e.account_id = %s group by 1 having sum(l.debit - l.credit) <> 0",
            paid.account,
        )
        return {name: int(amount) for name, amount in rows}

    def standing(self, paid: Paid) -> tuple[Any, ...]:
        """What everybody sees of it."""
        (payment,) = self.till.rows("select status, refunded from payment where id = %s", paid.payment_id)
        disputes = self.till.rows(
            "select stage, status, amount, booked_taken, booked_lost, booked_fee from dispute where payment_id = %s"
            " order by gateway_id",
            paid.payment_id,
        )
        invoices = self.till.rows("select status, balance from invoice where account_id = %s", paid.account)
        return (payment, disputes, invoices)


@pytest.fixture(scope="module")
def world(pg_server: PostgresForTests) -> Iterator[World]:
    engine = make_engine(pg_server.fresh_database("facts"))
    till = Till(engine, None, {})  # type: ignore[arg-type]  # no workflow runs here
    yield World(till)
    till.check_books()
    engine.dispose()


def fact(paid: Paid, happened: H, own: str, amount: int | None = None, reference: str = "") -> PaymentFact:
    failed = Decline(code="expired_or_canceled_card") if happened is H.REFUND_FAILED else None
    return PaymentFact(
        happened=happened,
        payment=paid.gateway_id,
        reference=reference,
        id=own,
        amount=paid.amount if amount is None else amount,
        currency="USD",
        decline=failed,
        occurred_at=NOW,
        fee=FEES.get(happened, 0),
    )


# What the gateway keeps by each stage: one that is won costs nothing, one that is lost a second fee.
FEES = {H.DISPUTED: 1500, H.DISPUTE_WON: 0, H.DISPUTE_LOST: 3000}
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(
    stages=st.sets(
        st.sampled_from([H.DISPUTE_OPENED, H.DISPUTED, H.DISPUTE_WON, H.DISPUTE_LOST]), min_size=1
    ),
    data=st.data(),
)
def test_a_dispute_ends_the_same_in_every_order(world: World, stages: set[H], data: st.DataObject) -> None:
    repeated = sorted(stages) + data.draw(st.lists(st.sampled_from(sorted(stages)), max_size=3), "again")
    order = data.draw(st.permutations(repeated), "order")
    straight, shuffled = world.payment(), world.payment()
    own = uuid4().hex
    natural = [each for each in H if each in stages]
    world.tell([fact(straight, each, f"dp_{own}_1") for each in natural])
    world.tell([fact(shuffled, each, f"dp_{own}_2") for each in order])
    assert world.standing(straight) == world.standing(shuffled)
    assert _net(world, straight) == _net(world, shuffled)
    assert world.books(straight).get("payments_in_dispute", 0) == (
        straight.amount if natural[-1] is H.DISPUTED else 0
    )
    assert world.books(straight).get("dispute_fees", 0) == FEES.get(natural[-1], 0)


def _net(world: World, paid: Paid) -> dict[str, int]:
    return {name: amount for name, amount in world.books(paid).items() if name != "revenue"}


@few
@given(data=st.data())
def test_a_refund_ends_the_same_in_every_order(world: World, data: st.DataObject) -> None:
    told = data.draw(st.lists(st.sampled_from([H.REFUNDED, H.REFUND_FAILED]), min_size=1, max_size=5), "told")
    paid = world.payment()
    row = world.till.ask(paid, "3.00")
    own = f"re_{uuid4().hex}"
    world.tell([fact(paid, each, own, 300, row.key) for each in told])
    after = world.till.row(row)
    failed = H.REFUND_FAILED in told
    assert (after.status, after.promise) == (("failed", "credited") if failed else ("succeeded", "paid"))
    assert world.till.rows("select status from connector_call where id = %s", row.call_id) != [("intent",)]
    books = world.books(paid)
    assert books.get("refunds_payable", 0) == 0
    assert books.get("account_credit", 0) == (-300 if failed else 0)
    assert books["payments_in_clearing"] == paid.amount - (0 if failed else 300)


def test_a_disputed_payment_is_not_refunded_until_it_is_won(world: World) -> None:
    paid = world.payment()
    world.tell([fact(paid, H.DISPUTED, "dp_won")])
    with pytest.raises(CommandRefused, match="disputed"):
        world.till.ask(paid)
    world.tell([fact(paid, H.DISPUTE_WON, "dp_won")])
    assert world.standing(paid)[0] == ("succeeded", 0)
    # It has succeeded once, and is told of as that once: nobody gets a second receipt.
    events = world.till.rows("select kind from event_log where subject_id = %s order by id", paid.payment_id)
    assert events == [("payment.succeeded",), ("payment.disputed",), ("payment.dispute_won",)]
    assert world.till.ask(paid).amount == paid.amount


def test_a_lost_dispute_opens_the_invoice_again_by_policy(world: World) -> None:
    load_rule_book(
        world.till.engine, RuleBook.model_validate({"policy": {"refunds": {"lost_dispute": "open_invoice"}}})
    )
    try:
        paid = world.payment()
        world.tell([fact(paid, H.DISPUTE_LOST, "dp_open")])
        assert world.standing(paid) == (
            ("disputed", 0),
            [("lost", "lost", paid.amount, 0, paid.amount, FEES[H.DISPUTE_LOST])],
            [("open", paid.amount)],
        )
        assert "dispute_losses" not in world.books(paid)
    finally:
        load_rule_book(world.till.engine, RuleBook())


def test_a_dispute_that_came_before_its_payment_is_booked_when_that_is_known(world: World) -> None:
    account, total = world.till.invoiced()
    early = Paid(account, "", 1, total, "cards", f"pi_{uuid4().hex}")
    world.tell([fact(early, H.DISPUTED, "dp_early")])
    with transaction(world.till.engine) as connection:
        assert [each.payment_id for each in list_disputes(connection, limit=1)] == [None]
    paid = world.till.settled(account, total, "cards", early.gateway_id)
    with transaction(world.till.engine) as connection:
        assert attach(connection, world.till.tariffs.current(connection), NOW) == 1
    assert world.standing(paid)[0] == ("disputed", 0)
    assert world.books(paid)["payments_in_dispute"] == paid.amount


def test_a_refund_that_was_made_at_the_gateway_itself_is_seen(world: World) -> None:
    paid = world.payment()
    world.tell([fact(paid, H.REFUNDED, "re_theirs", 100)] * 2)
    parked = world.till.rows(
        "select error_kind, times from parked where account_id = %s and resolved_at is null", paid.account
    )
    assert parked == [("made_elsewhere", 2)]


def test_a_refund_told_as_paid_after_it_was_taken_for_failed_is_seen(world: World) -> None:
    paid = world.payment()
    row = world.till.ask(paid, "1.00")
    world.tell([fact(paid, H.REFUND_FAILED, "re_a", 100, row.key)])
    world.tell([fact(paid, H.REFUNDED, "re_b", 100, row.key)])
    parked = world.till.rows("select error_kind from parked where account_id = %s", paid.account)
    assert parked == [("told_otherwise",)]


def test_evidence_is_kept_once_with_who_wrote_it(world: World) -> None:
    paid = world.payment()
    world.tell([fact(paid, H.DISPUTED, "dp_noted")])
    with transaction(world.till.engine) as connection:
        (row,) = list_disputes(connection, account_id=paid.account)
        for _ in range(2):
            row = note(connection, row.id, "ops", "read 41 articles", "note-1", NOW)
    assert [(each["by"], each["text"]) for each in row.evidence] == [("ops", "read 41 articles")]
