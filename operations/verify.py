"""Verification of the books: each law is read off the rows anew, in one snapshot, and what breaks it is named."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine

from domain.account.laws import uncovered
from domain.coverage import Days, cover
from domain.invoices import chain, content_digest
from domain.money import MoneyError, format_minor
from operations.accounts.unit import build
from operations.tariffs import read_tariff
from storage.books import CHECKS, SHOWN, Check, Row, broken_rows, counted, running_runs, settle_in
from storage.charge_laws import CHARGE_CHECKS
from storage.coverage import ItemCover, items_charged, misfits
from storage.database import PgConnection, transaction
from storage.inbox_laws import INBOX_CHECKS
from storage.references import REFERENCES
from storage.refund_laws import REFUND_CHECKS
from storage.sealed import Series, missing_guards, number_series, sealed_documents
from storage.tax_laws import TAX_CHECKS
from storage.whole.reading import read_whole, whole_account_ids

# Called with what is being looked at, and how many of how many laws are done.
Progress = Callable[[str, int, int], None]
_TOLD_EVERY = 20_000  # documents between two words on progress
_WHOLE_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Law:
    """A law of the books: what it says, what it counts, and what to do when it is broken."""

    id: str
    name: str
    unit: str
    explanation: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Violation:
    """One break of a law."""

    where: str
    what: str


@dataclass(slots=True)
class LawResult:
    """How a law stands: `checked` rows of `unit` were looked at, `broken` counts all violations and `violations` holds
    the first of them; `notes` are no violations but worth knowing."""

    law: str
    name: str
    unit: str
    explanation: str
    remedy: str
    checked: int = 0
    broken: int = 0
    violations: list[Violation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the law holds."""
        return self.broken == 0

    def add(self, count: int, violations: list[Violation]) -> None:
        """Take in `count` violations, of which some are named."""
        self.broken += count
        self.violations += violations[: SHOWN - len(self.violations)]


_CORRECT = "Rows were changed behind the program: compare them with a backup, and correct with new documents."

LAWS = (
    Law(
        "I1",
        "debits equal credits",
        "journal entries",
        "Each journal entry balances, each currency's books balance, and every entry and line belong together.",
        _CORRECT,
    ),
    Law(
        "I2",
        "receivables equal open invoices",
        "invoices",
        "Accounts receivable is the sum of what is still owed on open invoices, per currency and mode.",
        "Find the payment, credit or correction that moved a balance without its journal entry, and post it.",
    ),
    Law(
        "I3",
        "nothing is charged twice",
        "invoice lines",
        "Every line has a charge key, and no two live lines have the same; a unique index holds it.",
        "Void the double line's invoice. Then create the index again, as the migrations say.",
    ),
    Law(
        "I4",
        "invoice numbers have no gap",
        "invoices",
        "Each number series runs from 1 to its last number, without gap or double.",
        _CORRECT,
    ),
    Law(
        "I5",
        "finalised documents are unchanged",
        "invoices",
        "Each invoice, with its lines and postings, still hashes to the link stored with it; triggers refuse changes.",
        "The named invoice, or the link of the one before it, was changed after posting: compare it with a backup."
        " Missing triggers come back with the migrations.",
    ),
    Law(
        "I6",
        "an invoice is charged once at a time",
        "charges",
        "No invoice is in two charges whose end is not known, each charge has its call, and its parts sum to it.",
        "Look at the gateway what was charged, and refund what is too much.",
    ),
    Law(
        "I7",
        "each charge has its payment",
        "charges",
        "What a gateway said was charged is one payment here, of the same account and amount.",
        "Compare the charge, its call and the gateway; what is only late, the keeper of charges writes down.",
    ),
    Law(
        "I9",
        "totals are the sums of their lines",
        "invoices",
        "An invoice's total is the sum of its lines and their tax; discount and tax lines name the line they are for.",
        _CORRECT,
    ),
    Law(
        "I12",
        "bill runs account for everybody",
        "bill runs",
        "In every ended run billed, nothing due, parked and canceled make up the selected accounts, and the invoices"
        " that are there are those it reports.",
        "Trust the invoices, not the counts; bill who was left out with a new run for the same day.",
    ),
    Law(
        "I13",
        "every day is charged once",
        "subscription items",
        "Each item is charged for every day from its start (or its take-over) to charged-through, exactly once;"
        " likewise in arrears, to the day to which arrears are charged.",
        "A day that is charged twice needs a credit; a day that is not charged was lost when charged-through moved.",
    ),
    Law(
        "I14",
        "webhooks have their effect once",
        "deliveries",
        "What is known of a vendor's object is what its latest delivery told, and counts each distinct delivery once.",
        "Replay the object's deliveries: masthead connectors webhook replay --help.",
    ),
    Law(
        "tax",
        "tax engines know of what they taxed",
        "tax documents",
        "Each invoice that a connected engine taxed has just one document there, with the tax that was charged; that of"
        " a void invoice is taken back.",
        "Compare the invoice, `masthead tax documents` and the engine; correct at the engine, or with new documents.",
    ),
    Law(
        "refunds",
        "what is promised back is in the books",
        "refunds",
        "Refunds payable is the sum of what is promised and not paid, per currency and mode; each payment counts what"
        " of it is promised or paid back.",
        "Compare `masthead refund list --standing` with the gateway; correct with entries, never by changing rows.",
    ),
    Law(
        "references",
        "documents and entries belong together",
        "rows",
        "Invoices, lines, items, prices, accounts and journal entries refer to each other and say the same.",
        _CORRECT,
    ),
)


def verify(engine: Engine, progress: Progress | None = None) -> list[LawResult]:
    """Check every law on the rows of one snapshot, in the order of `LAWS`. Writes nothing; memory does not grow with
    the books."""
    results = []
    with transaction(engine, read_only_snapshot=True) as connection:
        settle_in(connection)
        for done, law in enumerate(LAWS):
            began = time.monotonic()
            result = LawResult(law.id, law.name, law.unit, law.explanation, law.remedy)
            tell = _teller(progress, law, done)
            tell("")
            if law.id == "I5":
                _verify_chain(connection, result, tell)
            elif law.id == "I13":
                _verify_coverage(connection, result)
                _verify_whole_coverage(connection, result, tell)
            else:
                result.checked = counted(connection, law.id)
            for check in (
                *CHECKS,
                *CHARGE_CHECKS,
                *INBOX_CHECKS,
                *TAX_CHECKS,
                *REFUND_CHECKS,
                *REFERENCES,
            ):
                if check.law == law.id:
                    found = broken_rows(connection, check)
                    result.add(found.total, [_violation(check, row) for row in found.rows])
            if law.id == "I12":
                result.notes += [
                    f"bill run {run} ({scope}, as of {target}) is {status}: not ended, so not judged"
                    for run, scope, target, status in running_runs(connection)
                ]
            result.seconds = time.monotonic() - began
            results.append(result)
    return results


def _teller(progress: Progress | None, law: Law, done: int) -> Callable[[str], None]:
    def tell(more: str) -> None:
        if progress is not None:
            progress(f"{law.id} {law.name}{more}", done, len(LAWS))

    return tell


def _violation(check: Check, row: Row) -> Violation:
    values = dict(row)
    for name, value in row.items():
        if name.endswith("_minor"):
            values[name] = f"{value} minor units"
            with suppress(MoneyError):
                values[name] = format_minor(int(value), str(row["currency"]))
    return Violation(check.where.format_map(values), check.what.format_map(values))


def _verify_chain(connection: PgConnection, result: LawResult, tell: Callable[[str], None]) -> None:
    for series in number_series(connection):
        named: list[Violation] = []
        broken = 0
        for violation in _unfit_documents(connection, series, result, tell):
            broken += 1
            if broken <= SHOWN:
                named.append(violation)
        result.add(broken, named)
    guards = [
        Violation(f"trigger {trigger}", f"is missing, disabled or altered, so rows of {table} can be changed")
        for table, trigger in missing_guards(connection)
    ]
    result.add(len(guards), guards)


def _unfit_documents(
    connection: PgConnection, series: Series, result: LawResult, tell: Callable[[str], None]
) -> Iterator[Violation]:
    # Each link is computed from the stored one before it, so that a change shows where it is and nowhere else; the
    # series as a whole is held by its first link, which is empty, and its last, which it records.
    mode, code = series.mode, series.code
    link = b""
    place = "is the first that does not fit into the chain"
    for document in sealed_documents(connection, mode, code):
        if chain(link, code, document.number, content_digest([document.content])) != document.link:
            yield Violation(
                f"invoice {code}-{document.number} ({mode})",
                f"{place}: its content, its link, or the invoice before it has changed",
            )
            place = "does not fit into the chain either"
        link = document.link
        result.checked += 1
        if result.checked % _TOLD_EVERY == 0:
            tell(f": {result.checked:,} invoices")
    if link != series.last_link:
        yield Violation(
            f"number series {code} ({mode})",
            "records another last link than its last invoice has: invoices at its end were changed or removed",
        )


def _verify_whole_coverage(connection: PgConnection, result: LawResult, tell: Callable[[str], None]) -> None:
    tariff = read_tariff(connection)
    now = datetime.now(UTC)
    last: str | None = None
    while page := whole_account_ids(connection, last, _WHOLE_AT_ONCE):
        for account_id, key in page:
            account, _ = build(read_whole(connection, account_id, tariff.book, lock=False), tariff, now)
            found = [Violation(f"account {key}", gap.removeprefix("I13: ")) for gap in uncovered(account)]
            result.add(len(found), found)
            result.checked += sum(len(each.terms.items) for each in account.subscriptions.values())
        last = page[-1][0]
        tell(f": {result.checked:,} items")


def _verify_coverage(connection: PgConnection, result: LawResult) -> None:
    result.checked, partly = items_charged(connection)
    count, covers = misfits(connection, SHOWN)
    result.add(count, [_uncovered(item) for item in covers])
    if partly:
        result.notes.append(
            f"{partly:,} items have plans that charge in some phases only: looked at for double days, not for missing"
        )


def _uncovered(item: ItemCover) -> Violation:
    sound = [(span.start, span.end) for span in item.spans if span.start and span.end]
    # What the plan never charges is due on no day.
    found = cover(item.since, item.until if item.priced else item.since, sound)
    charged = "charged in arrears" if item.in_arrears else "charged"
    told = [f"{_days(days)} {charged} more than once" for days in found.double]
    told += [f"{_days(days)} not {charged}" for days in found.missing if item.always]
    if item.priced:
        told += [
            f"{_days(days)} {charged}, outside of {item.since} to {item.until}" for days in found.outside
        ]
    else:
        way = "arrears" if item.in_arrears else "advance"
        told += [f"{_days(days)} charged in {way}, which the plan never does" for days in found.outside]
    told += [
        f"{span.start} to {span.end} {charged} with other prices or parts than the plan's phase has ({span.invoices})"
        for span in item.spans
        if not span.complete
    ]
    invoices = sorted({span.invoices for span in item.spans})
    return Violation(
        f"account {item.account}, subscription {item.subscription}, item {item.plan} ({item.item_id})",
        "; ".join(told) + f"; charged by {', '.join(invoices) or 'no invoice'}",
    )


def _days(days: Days) -> str:
    return f"{days[0]} to {days[1]}"
