"""Handing a subscription to another payer: both accounts in one transaction, locked together."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from domain.account.lifecycle import state
from domain.account.state import AccountState, Subscription
from domain.amendments import Refused
from domain.subscriptions import State
from domain.transfers import transfer
from operations.accounts.commands import CommandRefused, Outcome, VersionMoved, known_command
from operations.accounts.standing import subscription_standing
from operations.accounts.unit import changing
from operations.tariffs import Tariff
from storage.database import PgConnection
from storage.whole.reading import lock_together


def hand_over(
    connection: PgConnection,
    tariff: Tariff,
    name: str,
    from_account: str,
    to_account: str,
    command_id: str,
    now: datetime,
    *,
    new_name: str | None = None,
    expected: frozenset[int] | None = None,
) -> Outcome:
    """Hand the subscription called `name` of `from_account` to `to_account`, in the transaction of `connection`, once
    for each `command_id` (which is one of the account that hands over). The other account has it as `new_name`, by
    default the old name with the account's id behind it. expected: the subscription's versions on which this was
    decided; None: any. Raises LookupError for an unknown account, CommandRefused and VersionMoved."""
    asked = {"subscription": name, "to": to_account, "name": new_name}
    lock_together(connection, [from_account, to_account])
    with ExitStack() as both:
        units = {
            each: both.enter_context(changing(connection, tariff, each, now, command=command_id))
            for each in sorted({from_account, to_account})
        }
        known = known_command(units[from_account].rows, command_id, "transfer", asked)
        if known is not None:
            return known
        giver, taker = units[from_account].account, units[to_account].account
        if expected is not None and name in giver.subscriptions:
            version = units[from_account].rows.versions[giver.subscriptions[name].terms.id]
            if version not in expected:
                raise VersionMoved(version)
        try:
            chosen = move(giver, taker, name, new_name)
        except ValueError as error:
            raise CommandRefused(str(error)) from None
    answer = _answer(giver, name, taker, chosen)
    own, unit = answer["subscription"]["id"], units[from_account]
    answer["subscription"]["version"] = unit.written.versions.get(own, unit.rows.versions[own])
    connection.execute(
        "insert into command (account_id, id, kind, asked, outcome) values (%s, %s, 'transfer', %s, %s)",
        (from_account, command_id, Jsonb(asked), Jsonb(answer)),
    )
    return Outcome(answer)


def move(giver: AccountState, taker: AccountState, name: str, new_name: str | None = None) -> str:
    """Hand the subscription called `name` over, both accounts being on the same day; what the taker has it as. Raises
    ValueError, of some kind, and changes nothing then."""
    if giver is taker or giver.id == taker.id:
        raise Refused("the subscription is the account's already; name another account")
    if (giver.mode, giver.currency) != (taker.mode, taker.currency):
        raise Refused(
            f"one account is billed in {giver.currency} ({giver.mode}) and the other in {taker.currency} "
            f"({taker.mode}): hand over to an account of the same currency and mode"
        )
    subscription = giver.subscription(name)
    if state(subscription, giver.today) is State.PAUSED:
        raise Refused("the subscription is paused; resume it before it is handed over")
    done = transfer(subscription.terms, giver.today, subscription.term_end, taker.new_id)
    chosen = new_name or f"{name} / {taker.id}"
    if chosen in taker.subscriptions:
        raise Refused(f"the other account has a subscription {chosen!r} already; give this one another name")
    giver.subscriptions[name] = replace(subscription, terms=done.old, later=None)
    taker.subscriptions[chosen] = Subscription(
        chosen, done.new, done.new.ends_on, entitled=[(done.day, item.plan) for item in done.new.items[:1]]
    )
    return chosen


def _answer(giver: AccountState, name: str, taker: AccountState, new_name: str) -> dict[str, Any]:
    return {
        "account": giver.id,
        "subscription": subscription_standing(giver, giver.subscriptions[name]),
        "to": {
            "account": taker.id,
            "subscription": subscription_standing(taker, taker.subscriptions[new_name]),
        },
    }
