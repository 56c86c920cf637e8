"""The rows of mails: recorded with the reader's cursor, taken in order when they are due, ended once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from uuid_utils import uuid7

from storage.copying import copy_rows, field
from storage.database import PgConnection

_COLUMNS = (
    "id::text, mode, event_key, template, account_id::text, subject_id::text, version, status, reason, connection,"
    " call_id::text, tries, clock_timestamp(), next_at"
)


class NewMail(NamedTuple):
    """A mail to be recorded; its mode is its account's."""

    event_key: str
    template: str
    account_id: str
    subject_id: str
    version: int


class MailRow(NamedTuple):
    """A mail as it was claimed. now: the database's clock then. claimed_until: the claim itself, which nobody else has,
    and which is over once the row says something else."""

    id: str
    mode: str
    event_key: str
    template: str
    account_id: str
    subject_id: str
    version: int
    status: str
    reason: str | None
    connection: str | None
    call_id: str | None
    tries: int
    now: datetime
    claimed_until: datetime


def record_mails(
    connection: PgConnection,
    mails: Iterable[NewMail],
    unsent: Mapping[str, str],
    off: Mapping[str, Collection[str]],
) -> int:
    """Record mails that are not recorded yet; answers how many were. unsent: modes in which nothing can be sent, each
    with the reason: those rows end at once. off: templates that are not sent, by rule book; "" is the default one."""
    connection.execute(
        "create temporary table if not exists new_mail (id uuid, event_key text, template text, account_id uuid,"
        " subject_id uuid, version integer) on commit delete rows"
    )
    columns = "id, event_key, template, account_id, subject_id, version"
    copy_rows(
        connection,
        "new_mail",
        columns,
        ("\t".join(map(field, (str(uuid7()), *each))) for each in mails),
    )
    silent = [(book, template) for book, templates in off.items() for template in templates]
    done = connection.execute(
        """
        insert into mail (id, mode, event_key, template, account_id, subject_id, version, status, reason, ended_at)
        select n.id, a.mode, n.event_key, n.template, n.account_id, n.subject_id, n.version,
               case when u.reason is null then 'waiting' else 'unsent' end, u.reason,
               case when u.reason is not null then now() end
        from new_mail n join account a on a.id = n.account_id
        left join unnest(%(modes)s::text[], %(reasons)s::text[]) u(mode, reason) on u.mode = a.mode
        where not exists (select from unnest(%(books)s::text[], %(templates)s::text[]) o(book, template)
                          where o.book = coalesce(a.rule_book, '') and o.template = n.template)
        on conflict (mode, event_key, template) do nothing
        """,
        {
            "modes": list(unsent),
            "reasons": list(unsent.values()),
            "books": [book for book, _ in silent],
            "templates": [template for _, template in silent],
        },
    )
    return done.rowcount


def claim_mails(
    connection: PgConnection, modes: Collection[str], limit: int, within: timedelta
) -> list[MailRow]:
    """Claim mails of `modes` that are due, those that have waited longest first: nobody else looks at them for
    `within`. Who dies with a claim loses nothing: the mails are due again then."""
    rows = connection.execute(
        f"""
        update mail set next_at = clock_timestamp() + %(within)s
        where id in (select id from mail where status in ('waiting', 'sending') and next_at <= clock_timestamp()
                     and mode = any(%(modes)s) order by next_at, id limit %(limit)s for update skip locked)
        returning {_COLUMNS}
        """.encode(),
        {"modes": list(modes), "limit": limit, "within": within},
    )
    return [MailRow(*row) for row in rows]


def still_claimed(connection: PgConnection, row: MailRow) -> bool:
    """Whether the mail is as it was claimed; it is locked then."""
    found = connection.execute(
        "select from mail where id = %s and next_at = %s and status in ('waiting', 'sending') for update",
        (row.id, row.claimed_until),
    )
    return found.rowcount == 1


def mail_goes_out(
    connection: PgConnection,
    mail_id: str,
    *,
    call_id: str,
    to: str,
    locale: str | None,
    unsubscribe_hash: bytes | None,
    within: timedelta,
) -> None:
    """Its call is written down. Nobody else looks at the mail for `within`, in which a send is over."""
    connection.execute(
        "update mail set status = 'sending', call_id = %s, connection = %s, locale = coalesce(%s, locale),"
        " unsubscribe_hash = coalesce(%s, unsubscribe_hash), tries = least(tries + 1, 30000),"
        " next_at = clock_timestamp() + %s where id = %s",
        (call_id, to, locale, unsubscribe_hash, within, mail_id),
    )


def mail_waits(connection: PgConnection, mail_id: str, pause: timedelta) -> None:
    """It is tried again after `pause`."""
    connection.execute(
        "update mail set status = 'waiting', next_at = clock_timestamp() + %s"
        " where id = %s and status in ('waiting', 'sending')",
        (pause, mail_id),
    )


def end_mail(
    connection: PgConnection,
    mail_id: str,
    status: str,
    *,
    reason: str | None = None,
    message_id: str | None = None,
) -> None:
    """How it ended: sent, unsent, skipped or failed; or parked, which goes on when a person says so. What was sent is
    erased where no one needs it any more."""
    connection.execute(
        "update mail set status = %(status)s, reason = %(reason)s, message_id = coalesce(%(message)s, message_id),"
        " ended_at = case when %(status)s <> 'parked' then clock_timestamp() end"
        " where id = %(id)s and status in ('waiting', 'sending', 'parked')",
        {"status": status, "reason": reason, "message": message_id, "id": mail_id},
    )
    if status in ("sent", "skipped", "failed"):
        connection.execute(
            "update connector_call set request = null where id = (select call_id from mail where id = %s)"
            " and status in ('succeeded', 'skipped', 'failed')",
            (mail_id,),
        )


def settled_parks(connection: PgConnection) -> list[tuple[str, str, str]]:
    """Parked mails whose call is not parked any more: (mail, call, status of the call)."""
    return connection.execute(
        "select m.id::text, c.id::text, c.status from mail m join connector_call c on c.id = m.call_id"
        " where m.status = 'parked' and c.status <> 'parked' order by m.id limit 500"
    ).fetchall()


def resume_mail(connection: PgConnection, mail_id: str, within: timedelta) -> None:
    """A parked mail goes on: whoever was told of the decision sends it, and it is looked at again after `within`."""
    connection.execute(
        "update mail set status = 'sending', reason = null, next_at = clock_timestamp() + %s"
        " where id = %s and status = 'parked'",
        (within, mail_id),
    )


def requeue_mails(
    connection: PgConnection, reasons: Sequence[str], since: datetime, template: str | None
) -> int:
    """Let mails wait again that could not be sent for one of `reasons` and were recorded `since` then; how many."""
    done = connection.execute(
        "update mail set status = 'waiting', reason = null, ended_at = null, next_at = clock_timestamp()"
        " where status = 'unsent' and reason = any(%s) and recorded_at >= %s"
        " and template = coalesce(%s, template)",
        (list(reasons), since, template),
    )
    return done.rowcount


def counted_mails(connection: PgConnection) -> list[tuple[str, str, str, str | None, int]]:
    """(mode, template, status, reason, count)."""
    return connection.execute(
        "select mode, template, status, reason, count(*) from mail group by 1, 2, 3, 4 order by 1, 2, 3, 4"
    ).fetchall()


_LISTED = (
    "id",
    "mode",
    "template",
    "account",
    "event_key",
    "status",
    "reason",
    "connection",
    "locale",
    "message_id",
)


def listed_mails(
    connection: PgConnection, *, status: str | None, account: str | None, limit: int
) -> list[dict[str, Any]]:
    """Mails, the newest first; account: by its external key."""
    rows = connection.execute(
        """
        select m.id::text, m.mode, m.template, a.external_key, m.event_key, m.status, m.reason, m.connection, m.locale,
               m.message_id, m.recorded_at, m.ended_at
        from mail m join account a on a.id = m.account_id
        where m.status = coalesce(%s, m.status) and a.external_key = coalesce(%s, a.external_key)
        order by m.recorded_at desc, m.id desc limit %s
        """,
        (status, account, limit),
    )
    return [dict(zip((*_LISTED, "recorded_at", "ended_at"), row, strict=True)) for row in rows]


def account_of_token(connection: PgConnection, unsubscribe_hash: bytes) -> tuple[str, str, str] | None:
    """(mode, external key, mail) of the account that got the link with that token."""
    row = connection.execute(
        "select a.mode, a.external_key, m.id::text from mail m join account a on a.id = m.account_id"
        " where m.unsubscribe_hash = %s",
        (unsubscribe_hash,),
    ).fetchone()
    return (row[0], row[1], row[2]) if row else None
