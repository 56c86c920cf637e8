"""What API keys may do: a scope an area, for reading and for writing."""

from __future__ import annotations

from typing import NamedTuple

EVERYTHING = "*"


class Scope(NamedTuple):
    """A scope. `for_accounts`: it may be given to a key that is bound to one account, because every route that asks for
    it hides other accounts from such a key."""

    about: str
    for_accounts: bool = False


SCOPES: dict[str, Scope] = {
    "catalog:read": Scope("see products, plans, prices and features", for_accounts=True),
    "accounts:read": Scope("see accounts with their contact data", for_accounts=True),
    "accounts:write": Scope("open accounts and change them", for_accounts=True),
    "subscriptions:read": Scope("see subscriptions", for_accounts=True),
    "subscriptions:write": Scope("change, pause, cancel and resume subscriptions", for_accounts=True),
    "payments:read": Scope("see payments, refunds and disputes", for_accounts=True),
    "metrics:read": Scope("see figures over all accounts"),
    "payments:write": Scope("record money that came in, grant credit, correct invoices"),
    "invoices:read": Scope("see invoices with lines and taxes", for_accounts=True),
    "usage:write": Scope("record what was used", for_accounts=True),
    "checkout:write": Scope("quote and buy", for_accounts=True),
    "entitlements:read": Scope("ask what a reader may read", for_accounts=True),
    "entitlements:write": Scope("count what a reader has read, give and take grants", for_accounts=True),
    "events:read": Scope("read the event log"),
    "bill-runs:read": Scope("see bill runs"),
    "bill-runs:write": Scope("start, pause, resume and cancel bill runs"),
    "payment-runs:read": Scope("see payment runs, and what they did with each account"),
    "payment-runs:write": Scope("start, pause, resume and cancel payment runs"),
    "parked:read": Scope("see parked work"),
    "parked:write": Scope("retry, edit, skip and fail parked work"),
    "webhook-endpoints:read": Scope("see webhook endpoints and what they were told"),
    "webhook-endpoints:write": Scope("add, change and remove webhook endpoints"),
    "test-clocks:read": Scope("see test clocks"),
    "test-clocks:write": Scope("make and advance test clocks"),
    "keys:read": Scope("see API keys, without their secrets"),
    "keys:write": Scope("make, rotate and revoke API keys"),
}
