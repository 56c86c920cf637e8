"""Which keys of a batch exist already: an index lookup per key, never a set of all keys in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from psycopg import sql

from domain.import_record import ImportedRow
from operations.imports.job import Job
from operations.imports.source import SourceRow
from storage.database import PgConnection


class KnownAccount(NamedTuple):
    """An account that exists: `row` is where this very import brought it, None if something else did."""

    id: str
    currency: str
    row: int | None


class KnownSubscription(NamedTuple):
    """A subscription that exists: `ours` when this import's present pass made it, `row` where that is
    known."""

    account_id: str
    ours: bool
    row: int | None


@dataclass(slots=True)
class Known:
    """What exists by external key; grows while the rows of a batch are accepted."""

    accounts: dict[str, KnownAccount]
    subscriptions: dict[str, KnownSubscription]


_ACCOUNTS = sql.SQL(
    "select external_key, id, currency, case when import_job_id = %(job)s then import_row end"
    " from {} where mode = %(mode)s and external_key = any(string_to_array(%(keys)s, chr(10)))"
)
_SUBSCRIPTIONS = sql.SQL(
    "select external_key, account_id, created_at >= %(since)s from {}"
    " where mode = %(mode)s and external_key = any(string_to_array(%(keys)s, chr(10)))"
)


def find_known(
    connection: PgConnection, job: Job, rows: Sequence[tuple[SourceRow, ImportedRow]], schemas: Sequence[str]
) -> Known:
    """What exists in the tables of `schemas` of the keys that `rows` name."""
    known = Known({}, {})
    # One text is far cheaper to hand over than a list; keys have no line breaks, as the row reader sees to.
    account_keys = "\n".join(imported.account_key for _source, imported in rows)
    subscription_keys = "\n".join(imported.subscription_key for _source, imported in rows)
    for schema in schemas:
        for key, account_id, currency, row in connection.execute(
            _ACCOUNTS.format(sql.Identifier(schema, "account")),
            {"job": job.id, "keys": account_keys, "mode": job.mode},
        ):
            known.accounts[key] = KnownAccount(str(account_id), currency, row)
        since: datetime = job.started_at
        for key, account_id, ours in connection.execute(
            _SUBSCRIPTIONS.format(sql.Identifier(schema, "subscription")),
            {"since": since, "keys": subscription_keys, "mode": job.mode},
        ):
            known.subscriptions[key] = KnownSubscription(str(account_id), ours, None)
    return known
