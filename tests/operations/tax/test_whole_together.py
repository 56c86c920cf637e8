"""Accounts that are billed whole are asked for at the tax engine together, and each gets the answer that is its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

from sqlalchemy import Engine

from domain.invoices import Draft
from domain.tax import TaxTable
from domain.tax_documents import EngineTax, TaxSource, lines_to_tax, put_tax_on
from domain.taxation import GivenTax
from operations.billrun.post import ChunkRef
from operations.billrun.rate import Refusal, TaxAnswers, TaxStep
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope
from operations.catalog import load_catalog
from storage.billable import Target
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.domain.publisher import CATALOG
from tests.operations.beside import do, opened

FIRST = datetime(2026, 1, 15, 9, tzinfo=UTC)
CHANGED = datetime(2026, 1, 16, 9, tzinfo=UTC)
DUE = date(2026, 2, 15)


class ByAccount:
    """A tax engine with a rate in per cent for each account, which refuses those that have none."""

    def __init__(self, rates: dict[str, int]) -> None:
        self.rates = rates
        self.asked_for: list[int] = []

    def asked(self, mode: str) -> bool:
        return True

    def step(self, mode: str, table: TaxTable, heartbeat: Callable[[str], None]) -> TaxStep:
        return self.answer

    def answer(self, drafts: Sequence[Draft]) -> TaxAnswers:
        answers = TaxAnswers()
        if drafts:
            self.asked_for.append(len(drafts))
        for draft in drafts:
            own = draft.payer.id
            if own not in self.rates:
                answers.refused[own] = Refusal("no_rate", "it is taxed nowhere", "give it a rate")
                continue
            rate = Decimal(self.rates[own]) / 100
            given = tuple(
                GivenTax(line.place, "HERE", rate, line.amount * self.rates[own] // 100)
                for line in lines_to_tax(draft.lines)
                if line.charged is None
            )
            total = sum(each.amount for each in given)
            answers.given[own] = EngineTax(
                "taxes", TaxSource.ENGINE, "USD", total, draft.issued_on, given, {"lines": []}
            )
            put_tax_on(draft, answers.given[own])
        return answers


def reader(engine: Engine, *, plan: str = "basic") -> str:
    """An account with credit in hand, so that it is billed whole."""
    account, name = opened(engine), str(uuid4())
    for step in (
        {"do": "subscribe", "name": name, "plan": plan},
        {"do": "grant_credit", "amount": "0.50"},
        {"do": "bill"},
        {"do": "grant_credit", "amount": "0.50"},
    ):
        with transaction(engine) as connection:
            do(connection, engine, account, FIRST, **step)
    if plan == "yearly":  # what it gives back is more than what comes instead
        with transaction(engine) as connection:
            change = {"do": "change_plan", "subscription": name, "to": "basic", "behaviour": "restart_period"}
            do(connection, engine, account, CHANGED, **change)
    return account


def billed(engine: Engine, taxes: ByAccount) -> dict[str, object]:
    runs = BillRuns(engine, engines=taxes)
    target, own = Target(DUE, None), str(uuid4())
    run = runs.open(
        workflow_id=own, workflow_run_id=own, mode="live", scope=Scope.parse("all"), target=target
    )
    runs.bill(ChunkRef(run, 0, "live"), target, wait=True, heartbeat=lambda _: None)
    return runs.finish(run, canceled=False)


def test_all_are_asked_for_at_once_and_each_is_taxed_by_its_own_answer(pg_server: PostgresForTests) -> None:
    engine = make_engine(pg_server.fresh_database("together"))
    load_catalog(engine, CATALOG)
    rates = {reader(engine): rate for rate in (5, 10, 20)}
    turned = reader(engine, plan="yearly")
    refused = reader(engine)
    taxes = ByAccount({**rates, turned: 7})
    preview = BillRuns(engine, engines=taxes).preview(
        mode="live", scope=Scope.parse("all"), target=Target(DUE, None), first=min(rates), until=None
    )
    assert (preview.invoices, preview.parked) == (4, 1)
    assert taxes.asked_for[0] == 5
    taxes.asked_for.clear()
    summary = billed(engine, taxes)
    assert (summary["invoices"], summary["parked"]) == (4, 1)
    # The fifth draft was more credit than charge: its charges are asked for by themselves.
    assert taxes.asked_for == [5, 1]
    assert summary["totals"] == preview.totals
    with transaction(engine) as connection:
        found = connection.execute(
            "select i.account_id::text, i.tax, i.subtotal, d.total from invoice i"
            " join tax_document d on d.invoice_id = i.id and d.credit_note_id is null"
        ).fetchall()
        [(parked,)] = connection.execute("select account_id::text from parked").fetchall()
    assert {own: tax for own, tax, _, _ in found if own in rates} == {
        own: 1001 * rate // 100 for own, rate in rates.items()
    }
    assert all(tax == total for _, tax, _, total in found)
    assert {own for own, *_ in found} == {*rates, turned}
    assert parked == refused
    engine.dispose()
