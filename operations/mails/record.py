"""From events to mails that wait: the rows and the reader's cursor in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from domain.mail_templates import KINDS, NOTICE, event_key, template_of
from operations.rule_books import DEFAULT_RULE_BOOK, read_rule_books
from storage.database import PgConnection
from storage.events import Event, move_cursor, read_batch, read_cursor
from storage.mails import NewMail, record_mails

CURSOR = "mails"
# Of some thousand and more Postgres, while it has no statistics yet, does not walk along the index: it sorts all that
# is there, batch by batch.
AT_ONCE = 500


class Recorded(NamedTuple):
    """Whether the reader went on (else there is nothing to read yet), and whether more may be read at once."""

    moved: bool
    more: bool


def record_next(connection: PgConnection, unsent: Mapping[str, str], *, limit: int = AT_ONCE) -> Recorded:
    """Record the mails of the next events, in the caller's transaction. unsent: see `storage.mails.record_mails`."""
    seen = read_cursor(connection, CURSOR, lock=True)
    batch = read_batch(connection, seen, limit=limit, kinds=KINDS)
    if batch.upto == seen:
        return Recorded(moved=False, more=False)
    mails = [mail for event in batch.events if (mail := _mail(event)) is not None]
    if mails:
        record_mails(connection, mails, unsent, _off(connection))
    if not move_cursor(connection, CURSOR, seen, batch.upto):
        raise RuntimeError("another reader of the event log records mails; this one begins again")
    return Recorded(moved=True, more=batch.more)


def _mail(event: Event) -> NewMail | None:
    template = template_of(event.kind)
    if template is None or event.account_id is None or event.kind == NOTICE:
        return None
    key = event_key(template, event.kind, event.subject_id, event.version)
    return NewMail(key, template.name, event.account_id, event.subject_id, event.version)


def _off(connection: PgConnection) -> dict[str, Collection[str]]:
    """The templates that each rule book turns off; "" stands for the one that holds where an account names none."""
    found: dict[str, Collection[str]] = {
        name: rules.publisher.mails.off for name, rules in read_rule_books(connection).items()
    }
    return found | {"": found.get(DEFAULT_RULE_BOOK, ())}
