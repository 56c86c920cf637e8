"""What gateways tell of cards on file: brand, last digits, end; a new card behind the same token, or none any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from operations.charges.methods import retire_method
from storage.charges import ChargeRow
from storage.database import PgConnection
from storage.events import NewEvent, append_events

RENEWED, UPDATED = "payment_method.renewed", "payment_method.updated"
_DECEMBER = 12


class ToldOfCard(NamedTuple):
    """What a gateway told of a card, None where it does not say. expires_on: the first day on which it is of no use any
    more. renewed: another card took its place; closed: it can be charged no more. at: when that was, as it says."""

    method: str
    customer: str | None
    brand: str | None
    last4: str | None
    expires_on: date | None
    renewed: bool
    closed: bool
    at: datetime


def note_card(
    connection: PgConnection, mode: str, gateway: str, told: ToldOfCard, now: datetime
) -> list[str]:
    """Write down what was told of a card, for each account that pays by it; the accounts for which that was news. A new
    card behind the token counts as a new payment method: what failed is tried with it at once. Told late, after
    something newer, or twice it changes nothing."""
    accounts = payers_by(connection, mode, gateway, told)
    connection.execute("select from account where id = any(%s::uuid[]) order by id for update", (accounts,))
    return [each for each in accounts if _note(connection, each, gateway, told, now)]


def payers_by(connection: PgConnection, mode: str, gateway: str, told: ToldOfCard) -> list[str]:
    """The accounts that pay by the card, in the order of their ids."""
    rows = connection.execute(
        "select account_id::text from payment_method where connection = %s and method = %s and mode = %s"
        " and retired_at is null and (%s::text is null or customer is null or customer = %s) order by account_id",
        (gateway, told.method, mode, told.customer, told.customer),
    )
    return [row[0] for row in rows]


def _note(connection: PgConnection, account: str, gateway: str, told: ToldOfCard, now: datetime) -> bool:
    if told.closed:
        return retire_method(connection, account, gateway, told.method) is not None
    row = connection.execute(
        "select id::text, brand, last4, expires_on from payment_method where account_id = %s and connection = %s"
        " and method = %s and retired_at is null and (told_at is null or told_at < %s) for update",
        (account, gateway, told.method, told.at),
    ).fetchone()
    if row is None:
        return False
    own, *before = row
    after = [new or old for new, old in zip(told[2:5], before, strict=True)]
    # A card that nothing was known of is not new because something is told of it.
    renewed = told.renewed or (None not in before[1:] and after[1:] != before[1:])
    connection.execute(
        "update payment_method set brand = %s, last4 = %s, expires_on = %s, told_at = %s,"
        " renewed_at = case when %s then %s else renewed_at end where id = %s",
        (*after, told.at, renewed, now, own),
    )
    if not renewed and after == before:
        return False
    version = int(told.at.timestamp())
    append_events(connection, [NewEvent(RENEWED if renewed else UPDATED, account, own, version)])
    return True


def learn_cards(connection: PgConnection, charged: Sequence[tuple[ChargeRow, Any]]) -> None:
    """Keep what gateways' answers to charges tell of the cards that were charged, all at once; an answer is the JSON of
    the SDK's Payment. Accounts have to be locked. It is no news to dunning: the card was just charged."""
    known = [
        (each.account_id, each.connection, each.method, *details)
        for each, answer in charged
        if (details := card_of(answer)) is not None
    ]
    if not known:
        return
    connection.execute(
        """
        update payment_method m set brand = coalesce(n.brand, m.brand), last4 = coalesce(n.last4, m.last4),
               expires_on = coalesce(n.expires_on, m.expires_on)
        from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::date[])
             n(account_id, connection, method, brand, last4, expires_on)
        where m.account_id = n.account_id and m.connection = n.connection and m.method = n.method
          and (coalesce(n.brand, m.brand), coalesce(n.last4, m.last4), coalesce(n.expires_on, m.expires_on))
              is distinct from (m.brand, m.last4, m.expires_on)
        """,
        [list(column) for column in zip(*known, strict=True)],
    )


def card_of(answer: Any) -> tuple[str | None, str | None, date | None] | None:
    """(brand, last four digits, first day of no use) that an answer tells of the card; None where it tells nothing."""
    card = answer.get("card") if isinstance(answer, Mapping) else None
    if not isinstance(card, Mapping):
        return None
    month, year = card.get("exp_month"), card.get("exp_year")
    ends = date(year + month // _DECEMBER, month % _DECEMBER + 1, 1) if month and year else None
    return card.get("brand"), card.get("last4"), ends
