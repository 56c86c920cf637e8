"""examples/subscribers.csv billed for three months on a real Postgres: every amount is what the billing laws say.

The expectation is `recomputation`, written from the laws and from the files as plain data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy import Engine
from uuid_utils import uuid7

from domain.import_map import ImportMap
from operations.billrun.post import ChunkRef
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope
from operations.catalog import load_catalog
from operations.imports.run import ImportRequest, import_file
from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import load_document
from storage.billable import Target
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.scenarios.recomputation import (
    Expected,
    ExpectedInvoice,
    Reader,
    Reading,
    Recomputation,
    is_boundary,
    totals,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
IMPORTED = date(2026, 12, 1)
# A run on the first and in the middle of the month, and one on the last day: month-end anchors bill on their day.
RUNS = (
    IMPORTED,
    date(2026, 12, 15),
    date(2026, 12, 31),
    date(2027, 1, 15),
    date(2027, 1, 31),
    date(2027, 2, 15),
    date(2027, 3, 1),
)


@dataclass
class Posted:
    """An invoice as the database has it."""

    key: str
    currency: str
    issued_on: date
    subtotal: int
    tax: int
    total: int
    lines: list[Expected]
    journal: dict[str, int]


@dataclass
class ThreeMonths:
    """What was expected of each run and what it posted, by the account's key, and what it previewed."""

    recomputation: Recomputation
    readings: list[Reading]
    expected: list[dict[str, ExpectedInvoice]]
    posted: list[dict[str, Posted]]
    previews: list[tuple[int, dict[str, int]]]
    summaries: list[dict[str, object]]

    def lines(self) -> Iterator[tuple[ExpectedInvoice, Expected]]:
        for run in self.expected:
            for invoice in run.values():
                for line in invoice.lines:
                    yield invoice, line


@pytest.fixture(scope="module")
def months(pg_server: PostgresForTests) -> ThreeMonths:
    engine = make_engine(pg_server.fresh_database("threemonths"))
    load_catalog(engine, read_catalog_file(EXAMPLES / "catalog.yaml").catalog)
    import_map = load_document(EXAMPLES / "subscribers.map.yaml", ImportMap)
    imported = import_file(engine, ImportRequest(EXAMPLES / "subscribers.csv", import_map, IMPORTED))
    assert (imported.imported, imported.rejected) == (500, 0)
    recomputation = Recomputation(EXAMPLES / "catalog.yaml", EXAMPLES / "subscribers.csv")
    readings = [reading for reader in recomputation.readers.values() for reading in read_by(reader)]
    months = ThreeMonths(recomputation, readings, [], [], [], [])
    runs = BillRuns(engine)
    for day in RUNS:
        new = [reading for reading in readings if reading.known_on == day]
        recomputation.report(new)
        record(engine, new)
        months.previews.append(preview(runs, day))
        summary = bill(runs, day)
        months.summaries.append(summary)
        months.expected.append(recomputation.run(day))
        months.posted.append(posted_by(engine, str(summary["id"])))
    return months


def read_by(reader: Reader) -> Iterator[Reading]:
    """Articles that a reader with an article pass reads: up to the last instant of a period and on the first of
    the next one, around the bounds of the tiers, and some that are reported only after their period was billed."""
    if reader.plans[0].plan != "article-pass":
        return
    number = int(reader.key[-4:])
    day = reader.next_day
    while day <= RUNS[-1]:
        if (
            is_boundary(day, reader.anchor, reader.wanted, reader.unit, reader.count)
            and day > reader.next_day
        ):
            boundary = datetime.combine(day, time(), reader.zone)
            # 10 are free, the tiers end at 20 and at 100 beyond those.
            for at, quantity in (
                (boundary - timedelta(microseconds=1), (9, 10, 11, 30, 31, 110, 111, 250)[number % 8]),
                (boundary, number % 7),
            ):
                yield Reading(reader.key, at, Fraction(quantity), first_run_after(at))
            if number % 3 == 0:
                late = boundary - timedelta(hours=30)
                if late.date() >= reader.next_day:
                    yield Reading(reader.key, late, Fraction(4), first_run_after(at + timedelta(days=20)))
        day += timedelta(days=1)


def first_run_after(at: datetime) -> date:
    """The run before which a reading at `at` is reported."""
    return next((day for day in RUNS if day >= at.date()), date.max)


def record(engine: Engine, readings: list[Reading]) -> None:
    with transaction(engine) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into usage_record (id, item_id, meter_code, at, quantity, key)"
            " select %s, i.id, 'articles', %s, %s, %s from subscription_item i"
            " join subscription s on s.id = i.subscription_id join account a on a.id = s.account_id"
            " where a.external_key = %s and i.plan_code = 'article-pass'",
            [
                (str(uuid7()), each.at, int(each.quantity), str(uuid7()), each.key)
                for each in readings
                if each.quantity
            ],
        )


def preview(runs: BillRuns, day: date) -> tuple[int, dict[str, int]]:
    scope, target = Scope.parse("all"), Target(day, None)
    firsts = runs.preview_ranges(mode="live", scope=scope, target=target)
    invoices = 0
    amounts: dict[str, int] = defaultdict(int)
    for first, until in zip(firsts, [*firsts[1:], None], strict=True):
        report = runs.preview(mode="live", scope=scope, target=target, first=first, until=until)
        assert report.parked == 0
        invoices += report.invoices
        for currency, amount in report.totals.items():
            amounts[currency] += amount
    return invoices, dict(amounts)


def bill(runs: BillRuns, day: date) -> dict[str, object]:
    target = Target(day, None)
    run_id = runs.open(
        workflow_id=f"bill-{day}",
        workflow_run_id=str(uuid7()),
        mode="live",
        scope=Scope.parse("all"),
        target=target,
    )
    chunks, _ = runs.size(run_id)
    for no in range(chunks):
        runs.bill(ChunkRef(run_id, no, "live"), target, wait=True, heartbeat=lambda _step: None)
    return runs.finish(run_id, canceled=False)


def posted_by(engine: Engine, run_id: str) -> dict[str, Posted]:
    """The invoices of a run, lines named as the recomputation names them."""
    found: dict[str, Posted] = {}
    with transaction(engine) as connection:
        by_id = {}
        for invoice_id, *head in connection.execute(
            "select i.id, a.external_key, i.currency, i.issued_on, i.subtotal, i.tax, i.total"
            " from invoice i join account a on a.id = i.account_id where i.bill_run_id = %s",
            (run_id,),
        ):
            assert head[0] not in found, f"{head[0]} has two invoices in one run"
            by_id[invoice_id] = found[head[0]] = Posted(*head, lines=[], journal={})
        abouts: dict[tuple[object, int], str] = {}
        for invoice_id, no, kind, plan, version, phase, code, part, start, end, *rest in connection.execute(
            "select l.invoice_id, l.no, l.kind, v.plan_code, v.version, p.phase, p.code, l.part, l.period_start,"
            " l.period_end, l.parent_no, l.reference, l.rate, l.quantity, l.amount"
            " from invoice i join invoice_line l on l.invoice_id = i.id left join price p on p.id = l.price_id"
            " left join plan_version v on v.id = p.plan_version_id"
            " where i.bill_run_id = %s order by l.invoice_id, l.no",
            (run_id,),
        ):
            parent, reference, rate, quantity, amount = rest
            if parent is None:
                what = f"{plan}/{version}/{phase}/{code}/{part}"
                span = (start.isoformat(), end.isoformat()) if start else ("", "")
                abouts[invoice_id, no] = f"{kind} {what} {span[0]}..{span[1]}"
            else:
                what, span = abouts[invoice_id, parent], ("", "")
            by_id[invoice_id].lines.append(
                Expected(
                    kind,
                    what,
                    *span,
                    reference or "",
                    None if rate is None else Fraction(rate),
                    Fraction(quantity),
                    amount,
                )
            )
        for invoice_id, account, debit, credit in connection.execute(
            "select i.id, j.ledger_account, j.debit, j.credit from invoice i join journal_line j on j.entry_id = i.id"
            " where i.bill_run_id = %s",
            (run_id,),
        ):
            by_id[invoice_id].journal[account] = debit - credit
    return found


def order(line: Expected) -> tuple[str, ...]:
    return (line.kind, line.what, line.start, line.reference, str(line))


@pytest.mark.parametrize("run", range(len(RUNS)), ids=[day.isoformat() for day in RUNS])
def test_every_line_is_what_the_laws_say(months: ThreeMonths, run: int) -> None:
    expected, posted = months.expected[run], months.posted[run]
    assert sorted(posted) == sorted(expected)
    wrong = []
    for key, invoice in expected.items():
        want = [str(line) for line in sorted(invoice.lines, key=order)]
        got = [str(line) for line in sorted(posted[key].lines, key=order)]
        if want != got or sorted(invoice.lines, key=order) != sorted(posted[key].lines, key=order):
            missing = [f"  expected {line}" for line in want if line not in got]
            extra = [f"  posted   {line}" for line in got if line not in want]
            wrong.append("\n".join([key, *missing, *extra]))
    assert not wrong, f"{len(wrong)} of {len(expected)} invoices differ:\n" + "\n".join(wrong[:20])


@pytest.mark.parametrize("run", range(len(RUNS)), ids=[day.isoformat() for day in RUNS])
def test_every_invoice_adds_up_and_the_run_tells_the_same(months: ThreeMonths, run: int) -> None:
    expected, posted, summary = months.expected[run], months.posted[run], months.summaries[run]
    for key, invoice in expected.items():
        found = posted[key]
        tax = sum(line.amount for line in invoice.lines if line.kind == "tax")
        # Law 7: Σ lines + Σ tax = total.
        assert (found.currency, found.issued_on, found.subtotal, found.tax, found.total) == (
            invoice.currency,
            RUNS[run],
            invoice.total - tax,
            tax,
            invoice.total,
        )
        earned = 0
        for line in invoice.lines:
            # Usage is delivered, and so is time that is over when it is billed; a discount comes after its charge.
            if line.kind not in ("discount", "tax"):
                delivered = line.kind == "usage" or line.end <= RUNS[run].isoformat()
            if line.kind != "tax" and delivered:
                earned += line.amount
        books = {
            "accounts_receivable": invoice.total,
            "deferred_revenue": -(invoice.total - tax - earned),
            "revenue": -earned,
            "tax_payable": -tax,
        }
        assert found.journal == {account: amount for account, amount in books.items() if amount}
    wanted = totals(expected.values())
    assert (summary["invoices"], summary["totals"], summary["parked"]) == (len(expected), wanted, 0)
    assert summary["status"] == "completed"
    assert months.previews[run] == (len(expected), wanted)


def test_no_charge_is_billed_twice_and_no_day_is_left_out(months: ThreeMonths) -> None:
    """Law I13 for the prepaid part: the spans of a plan follow each other without hole or overlap."""
    spans: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    count = 0
    for run in months.posted:
        for invoice in run.values():
            for line in invoice.lines:
                if line.kind == "recurring":
                    plan, _version, _phase, _code, part = line.what.split("/")
                    spans[invoice.key, f"{plan}/{part}"].add((line.start, line.end))
                    count += 1
    assert sum(len(found) for found in spans.values()) == count
    for (key, _plan), found in spans.items():
        in_order = sorted(found)
        assert [end for _, end in in_order[:-1]] == [start for start, _ in in_order[1:]], key
        reader = months.recomputation.readers[key]
        assert in_order[-1][1] == reader.next_day.isoformat() > RUNS[-1].isoformat()


def test_the_sample_is_no_trivial_one(months: ThreeMonths) -> None:
    sums: dict[str, int] = defaultdict(int)
    for run in months.expected:
        for currency, amount in totals(run.values()).items():
            sums[currency] += amount
    assert set(sums) == {"USD", "EUR", "JPY"}
    assert all(amount > 100_000 for amount in sums.values())
    seen: dict[str, int] = defaultdict(int)
    for invoice, line in months.lines():
        reader = months.recomputation.readers[invoice.key]
        seen[line.kind] += 1
        if line.kind == "discount":
            seen["percentage discount" if line.rate is not None else "fixed discount"] += 1
        if line.kind == "tax":
            seen["taxed at zero"] += not line.rate
            seen["tax of two jurisdictions"] += line.reference in ("New York City", "Seattle")
        if line.kind == "usage":
            seen["usage within the allowance"] += not line.amount
            seen["usage in the third tier"] += line.quantity > 110
        if line.kind != "recurring":
            continue
        start, end = date.fromisoformat(line.start), date.fromisoformat(line.end)
        plan, version, phase, _code, _part = line.what.split("/")
        whole = reader.period(start)
        seen["bundle parts"] += plan == "print-digital"
        seen["add-ons"] += plan == "magazine-archive"
        seen["seats"] += line.quantity > 1
        seen["intro"] += phase == "intro"
        seen["after an intro"] += plan == "digital-intro" and phase == "evergreen"
        seen["a newer version"] += (plan, version) == ("digital-monthly", "2")
        seen["special prices"] += reader.special is not None
        seen["parts of periods"] += whole != (start, end)
        seen["leading stubs"] += start < reader.anchor == end
        seen["clamped to a short month"] += start.day < reader.wanted and reader.unit in ("month", "year")
        seen["month ends"] += start.day >= 29 and reader.wanted >= 29
        seen["four weeks"] += reader.unit == "week"
        seen["years"] += (end - start).days > 300
        seen["untaxed"] += not reader.region
    for reading in months.readings:
        if first_run_after(reading.at + timedelta(days=2)) < reading.known_on <= RUNS[-1]:
            seen["usage reported late and billed"] += (
                reading not in months.recomputation.readers[reading.key].read
            )
    wanted = {
        "recurring", "usage", "discount", "tax", "percentage discount", "fixed discount", "taxed at zero",
        "tax of two jurisdictions", "usage within the allowance", "usage in the third tier",
        "usage reported late and billed", "bundle parts", "add-ons", "seats", "intro", "after an intro",
        "a newer version", "special prices", "parts of periods", "leading stubs", "clamped to a short month",
        "month ends", "four weeks", "years", "untaxed",
    }  # fmt: skip
    assert {what for what, times in seen.items() if times} >= wanted, seen
    assert min(len(run) for run in months.expected) > 100
