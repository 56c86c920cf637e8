"""What events mean for dunning: which accounts in dunning they are about."""

from __future__ import annotations

from typing import LiteralString, NamedTuple

from storage.database import PgConnection
from storage.dunning import cased_accounts
from storage.events import Cursor, move_cursor, read_batch, read_cursor

CURSOR = "dunning"
KINDS = (
    "dunning.opened",
    "dunning.changed",
    "dunning.closed",
    "charge.%",
    "invoice.posted",
    "payment_method.added",
    "payment_method.renewed",
)
# A bill run posts by the hundred thousand; only those who owe from before are dunned.
_CONCERNS: LiteralString = (
    "(kind <> 'invoice.posted'"
    " or account_id in (select account_id from dunning_case where closed_at is null))"
)


class News(NamedTuple):
    """A batch of events: the accounts in dunning that have to be looked at again, and those that are not dunned any
    more, whose workflow waits to hear of it if one is open; `more` may be read at once."""

    accounts: list[str]
    ended: list[str]
    seen: Cursor
    upto: Cursor
    more: bool


def next_news(connection: PgConnection, *, limit: int = 500) -> News:
    """The next batch. Writes nothing: call `news_told` once it is carried out; after a failure it comes again."""
    seen = read_cursor(connection, CURSOR)
    batch = read_batch(connection, seen, limit=limit, kinds=KINDS, only=_CONCERNS)
    named = {each.account_id for each in batch.events if each.account_id is not None}
    ended = {each.account_id for each in batch.events if each.account_id and each.kind == "dunning.closed"}
    accounts = cased_accounts(connection, sorted(named)) if named else []
    return News(accounts, sorted(ended.difference(accounts)), seen, batch.upto, batch.more)


def news_told(connection: PgConnection, news: News) -> bool:
    """Move the cursor; False when somebody else moved it meanwhile."""
    return move_cursor(connection, CURSOR, news.seen, news.upto)
