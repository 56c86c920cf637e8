"""A mail's way out, as short transactions: its call written down, its outcome taken over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from contracts.connector_call import CallOutcome, CallStatus
from operations.calls.prepare import CallOrder, prepare_call
from operations.mails.compose import NO_CONNECTION, Composed, Unsent
from storage.calls import read_call
from storage.database import PgConnection
from storage.mails import (
    MailRow,
    end_mail,
    mail_goes_out,
    mail_waits,
    resume_mail,
    settled_parks,
    still_claimed,
)
from storage.parked import Park, park
from storage.payment_links import keep_payment_link

METHOD = "mail.send"
# What follows the calls of mails, in the place of a workflow of their own: the keeper of calls leaves them alone.
FOLLOWER = "mails"
BAD_TEMPLATE = "bad_template"

# The connection by which mails of a mode go; asked for by name, the one of that name. None: there is none.
ConnectionOf = Callable[[str, str | None], str | None]


def go_out(
    connection: PgConnection,
    row: MailRow,
    composed: Composed | Unsent | None,
    connection_of: ConnectionOf,
    within: timedelta,
) -> str | None:
    """Write down the call of a claimed mail, or find the one that is there; the call's id. None where there is nothing
    to send: the claim is over, or the mail ends unsent. Commit before sending."""
    if not still_claimed(connection, row):
        return None
    if row.call_id is not None:
        mail_goes_out(
            connection,
            row.id,
            call_id=row.call_id,
            to=row.connection or "",
            locale=None,
            unsubscribe_hash=None,
            within=within,
        )
        return row.call_id
    if composed is None:
        return None
    if isinstance(composed, Unsent):
        end_mail(connection, row.id, "unsent", reason=composed.reason)
        return None
    to = connection_of(row.mode, composed.connection)
    if to is None:
        end_mail(connection, row.id, "unsent", reason=NO_CONNECTION)
        return None
    prepared = prepare_call(
        connection,
        CallOrder(
            connection=to,
            method=METHOD,
            key=f"mail:{row.event_key}:{row.template}",
            request=composed.request,
            mode=row.mode,
            account_id=row.account_id,
            workflow_id=FOLLOWER,
        ),
    )
    mail_goes_out(
        connection,
        row.id,
        call_id=prepared.ref.call_id,
        to=to,
        locale=composed.locale,
        unsubscribe_hash=composed.unsubscribe_hash,
        within=within,
    )
    if composed.payment_hash is not None:
        keep_payment_link(connection, composed.payment_hash, row.account_id, composed.payment_days)
    return prepared.ref.call_id


def take_outcome(connection: PgConnection, mail_id: str, outcome: CallOutcome, *, now_in: timedelta) -> str:
    """Take over where the call stands; the mail's status then. now_in: after how long a call is looked at again that
    nobody knows the outcome of."""
    if outcome.status is CallStatus.SUCCEEDED:
        told = outcome.answer.get("message_id")
        end_mail(connection, mail_id, "sent", message_id=told if isinstance(told, str) else None)
        return "sent"
    if outcome.status is CallStatus.PARKED:
        end_mail(connection, mail_id, "parked", reason=outcome.error_kind)
        return "parked"
    if outcome.status.settled:
        end_mail(connection, mail_id, outcome.status.value, reason="decided by a person")
        return outcome.status.value
    mail_waits(connection, mail_id, now_in)
    return "waiting"


def put_off(connection: PgConnection, mail_id: str, pause: timedelta) -> None:
    """Nothing was sent: it is tried again after `pause`."""
    mail_waits(connection, mail_id, pause)


def park_template(connection: PgConnection, row: MailRow, message: str, pause: timedelta) -> None:
    """A template, or a document, that cannot be made: told once while it lasts, and tried again after `pause`."""
    park(
        connection,
        Park(
            kind="mail",
            trace_key=f"mail template {row.template}",
            error_kind=BAD_TEMPLATE,
            message=message[:1000],
            remedy=f"Correct it (`masthead mails preview {row.template}` shows it); its mails wait and go out then.",
            mode=row.mode,
        ),
    )
    mail_waits(connection, row.id, pause)


def template_works(connection: PgConnection, mode: str, template: str) -> None:
    """Close the park of a template that can be made again."""
    connection.execute(
        "update parked set resolved_at = now(), resolution = 'carried out' where mode = %s and kind = 'mail'"
        " and resolved_at is null and trace_key = %s",
        (mode, f"mail template {template}"),
    )


def take_decisions(connection: PgConnection, within: timedelta) -> int:
    """Take over what persons have decided about parked mails; how many."""
    found = settled_parks(connection)
    for mail_id, call_id, status in found:
        if not CallStatus(status).settled:
            resume_mail(connection, mail_id, within)
        elif status == CallStatus.SUCCEEDED:
            answer = read_call(connection, call_id).answer
            told = answer.get("message_id") if isinstance(answer, dict) else None
            end_mail(connection, mail_id, "sent", message_id=told)
        else:
            end_mail(connection, mail_id, status, reason="decided by a person")
    return len(found)
