"""One batch of an import: rows sorted into new, existing and rejected, and written by COPY.

COPY goes straight into the tables, after a look at what exists. It has no ON CONFLICT: where somebody else
wrote the same key in the meantime, the unique index refuses, and the caller looks again and repeats the
batch.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import psycopg
import uuid_utils

from domain.import_fields import CARD_NUMBER, may_be_card_number
from domain.import_record import ImportedRow
from domain.periods import iso
from operations.imports.access import ImportedAccess
from operations.imports.job import Counts, Job
from operations.imports.known import Known, KnownAccount, KnownSubscription, find_known
from operations.imports.source import SourceRow
from storage.copying import copy_rows, field
from storage.database import PgConnection
from storage.entitlements import GRANT_COLUMNS

LIVE = "public"
_COLUMNS = {
    "account": "id, external_key, currency, time_zone, locale, bill_cycle_day, tax_region, tax_exempt,"
    " payment_terms_days, payment_method, import_job_id, import_row, mode",
    "person": "account_id, name, email, address",
    "subscription": "id, account_id, external_key, status, starts_on, trial_ends_on, anchor_on, anchor_day,"
    " interval_unit, interval_count, ends_on, opening_on, charged_through, arrears_through, next_bill_on, next_due,"
    " mode",
    "subscription_item": "id, subscription_id, plan_code, plan_version, quantity, price_override, starts_on",
    "subscription_discount": "id, subscription_id, code, percent, amount, starts_on, ends_on",
    "entitlement_grant": GRANT_COLUMNS,
    "event_log": "kind, account_id, subject_id, version",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that is not imported, and why."""

    source: SourceRow
    reason: str


@dataclass(frozen=True, slots=True)
class _New:
    """A row to write; `account_id` exists already unless `opens_account`."""

    source: SourceRow
    imported: ImportedRow
    account_id: str
    subscription_id: str
    opens_account: bool


@dataclass(slots=True)
class Batch:
    """Rows read from the file: those that could be understood, and the rejected."""

    good: list[tuple[SourceRow, ImportedRow]] = dataclasses.field(default_factory=list)
    rejected: list[Rejection] = dataclasses.field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows of the file it stands for."""
        return len(self.good) + len(self.rejected)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch."""

    counts: Counts
    rejected: list[Rejection]


def post_batch(
    connection: PgConnection, job: Job, batch: Batch, access: ImportedAccess, *, separate_keys: bool
) -> Outcome:
    """Write `batch`, the grants that follow from it, and its rejections in the caller's transaction. With
    `separate_keys` several rows may name one account, each with a subscription of its own. Raises psycopg's
    UniqueViolation when a key was taken meanwhile."""
    known = find_known(connection, job, batch.good, [LIVE])
    new, existing, refused = _sort(batch.good, known, separate_keys=separate_keys)
    rejected = [*batch.rejected, *refused]
    _write(connection, job, new, access, rejected)
    rejected.sort(key=lambda rejection: rejection.source.row)
    copy_rejections(connection, job, rejected)
    return Outcome(Counts(batch.rows - existing - len(rejected), existing, len(rejected)), rejected)


def check_batch(
    connection: PgConnection,
    job: Job,
    batch: Batch,
    access: ImportedAccess,
    *,
    separate_keys: bool,
    remembered: str,
) -> Outcome:
    """What `post_batch` would answer, without writing: new keys go to the tables of the schema
    `remembered`."""
    known = find_known(connection, job, batch.good, [LIVE, remembered])
    new, existing, refused = _sort(batch.good, known, separate_keys=separate_keys)
    rejected = sorted([*batch.rejected, *refused], key=lambda rejection: rejection.source.row)
    rows = _rows(job, new, access)
    for table in ("account", "subscription"):
        copy_rows(connection, f"{remembered}.{table}", _COLUMNS[table], rows[table])
    return Outcome(Counts(batch.rows - existing - len(rejected), existing, len(rejected)), rejected)


def _sort(
    rows: Sequence[tuple[SourceRow, ImportedRow]], known: Known, *, separate_keys: bool
) -> tuple[list[_New], int, list[Rejection]]:
    """New rows, the number of existing ones, and rejections. `known` learns the new keys."""
    new: list[_New] = []
    existing = 0
    rejected: list[Rejection] = []
    for source, imported in rows:
        account = known.accounts.get(imported.account_key)
        subscription = known.subscriptions.get(imported.subscription_key)
        answer: str | None
        if account is not None and not separate_keys:
            answer = _again(source, account.row)
        elif subscription is not None and (account is None or subscription.account_id != account.id):
            answer = (
                "the subscription's key is taken by a subscription of another account; give it another key"
            )
        elif subscription is not None:
            answer = _again_subscription(source, subscription)
        elif account is not None and account.currency != imported.currency:
            answer = (
                f"the account is billed in {account.currency}, and this row says {imported.currency}; "
                "one account has one currency, so correct it or use another account key"
            )
        else:
            entry = _New(
                source,
                imported,
                account.id if account is not None else str(uuid_utils.uuid7()),
                str(uuid_utils.uuid7()),
                account is None,
            )
            new.append(entry)
            if account is None:
                known.accounts[imported.account_key] = KnownAccount(
                    entry.account_id, imported.currency, source.row
                )
            known.subscriptions[imported.subscription_key] = KnownSubscription(
                entry.account_id, True, source.row
            )
            continue
        if answer is None:
            existing += 1
        else:
            rejected.append(Rejection(source, answer))
    return new, existing, rejected


def _again(source: SourceRow, first: int | None) -> str | None:
    """The reason against a row whose account exists; None when it counts as existing."""
    if first is None or first == source.row:
        return None
    return f"duplicate external key: the same key stands first at row {first}; remove one, or give it its own key"


def _again_subscription(source: SourceRow, subscription: KnownSubscription) -> str | None:
    if not subscription.ours:
        return None
    where = f"first at row {subscription.row}" if subscription.row else "earlier in this file"
    return f"duplicate subscription key: the same key stands {where}; remove one, or give it its own key"


def _write(
    connection: PgConnection,
    job: Job,
    new: list[_New],
    access: ImportedAccess,
    rejected: list[Rejection],
) -> None:
    """Write all of `new`; rows that the database refuses are found by halving and added to `rejected`."""
    if not new:
        return
    try:
        with connection.transaction():
            rows = _rows(job, new, access)
            for table, content in rows.items():
                copy_rows(connection, table, _COLUMNS[table], content)
    except psycopg.errors.UniqueViolation:
        raise
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        if len(new) == 1:
            about = error.diag.constraint_name or error.diag.column_name or type(error).__name__
            rejected.append(
                Rejection(new[0].source, f"the database refuses the row ({about}); check its values")
            )
            return
        half = len(new) // 2
        _write(connection, job, new[:half], access, rejected)
        # A later row may belong to an account of the first half that was refused: then it is refused as well.
        _write(connection, job, new[half:], access, rejected)


def _rows(job: Job, new: list[_New], access: ImportedAccess) -> dict[str, list[str]]:
    """The rows of every table as COPY reads them, in the order in which foreign keys want them."""
    rows: dict[str, list[str]] = {table: [] for table in _COLUMNS}
    account, person, subscription, item, discount, grant, event = rows.values()
    for entry in new:
        row, opening = entry.imported, entry.imported.opening
        account_id, subscription_id = entry.account_id, entry.subscription_id
        if entry.opens_account:
            account.append(
                f"{account_id}\t{field(row.account_key)}\t{row.currency}\t{row.time_zone}\t{row.locale}"
                f"\t{field(row.bill_cycle_day)}\t{field(row.tax_region)}\t{row.tax_exempt}"
                f"\t{row.payment_terms_days}\t{field(row.payment_method)}\t{job.id}\t{entry.source.row}\t{job.mode}"
            )
            if row.name or row.email or row.address:
                address = json.dumps(row.address, ensure_ascii=False) if row.address else None
                person.append(f"{account_id}\t{field(row.name)}\t{field(row.email)}\t{field(address)}")
        starts_on = iso(opening.starts_on)
        subscription.append(
            f"{subscription_id}\t{account_id}\t{field(row.subscription_key)}\t{opening.status}\t{starts_on}"
            f"\t{_day(opening.trial_ends_on)}\t{iso(opening.anchor_on)}\t{opening.anchor_day}"
            f"\t{opening.interval_unit}\t{opening.interval_count}\t{_day(opening.ends_on)}"
            f"\t{iso(opening.opening_on)}\t{iso(opening.charged_through)}\t{iso(opening.arrears_through)}"
            f"\t{_day(opening.next_bill_on)}\t{field(opening.next_due)}\t{job.mode}"
        )
        for bought in row.items:
            item.append(
                f"{uuid_utils.uuid7()}\t{subscription_id}\t{bought.plan}\t{bought.version}"
                f"\t{bought.quantity}\t{field(bought.price_override)}\t{starts_on}"
            )
        for less in row.discounts:
            discount.append(
                f"{uuid_utils.uuid7()}\t{subscription_id}\t{field(less.code)}\t{field(less.percent)}"
                f"\t{field(less.amount)}\t{iso(less.starts_on)}\t{_day(less.ends_on)}"
            )
        for given in access.grant_rows(row):
            grant.append(
                f"{account_id}\t{uuid_utils.uuid7()}\t{job.mode}\t{account_id}\t{given % subscription_id}"
            )
        # Its grants are told of by this event too.
        event.append(f"subscription.imported\t{account_id}\t{subscription_id}\t1")
    return rows


def _day(day: date | None) -> str:
    return r"\N" if day is None else iso(day)


def copy_rejections(connection: PgConnection, job: Job, rejected: Sequence[Rejection]) -> None:
    """Keep rejected rows with their cells, for the file that is written at the end."""
    if not rejected:
        return
    with (
        connection.cursor() as cursor,
        cursor.copy("copy import_rejection (import_job_id, row, line, reason, cells) from stdin") as copy,
    ):
        for rejection in rejected:
            source = rejection.source
            cells = [cell.replace("\0", "\ufffd") for cell in source.cells]
            if CARD_NUMBER in rejection.reason:
                # What was refused must not be kept by refusing it.
                cells = [
                    f"{'*' * 12}{cell.strip()[-4:]}" if may_be_card_number(cell) else cell for cell in cells
                ]
            copy.write_row((job.id, source.row, source.line, rejection.reason.replace("\0", "\ufffd"), cells))
