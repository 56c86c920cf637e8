"""What an account gives access to: its subscriptions with their pauses, and the gifts that were claimed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from domain.account.state import AccountState, Subscription, plan_version
from domain.amendments import Refused
from domain.dunning import UnpaidInvoice
from domain.entitlements import AccessFacts, Given, Grant, Span, Subscribed, claimed, grants_of
from domain.withholding import withheld


def grants(
    account: AccountState,
    *,
    dunned: bool,
    awaiting: Collection[str] = (),
    purchases: Sequence[Given] = (),
) -> list[Grant]:
    """Every grant of the account as it stands. `dunned`: its debts keep readers out as the rule book says; otherwise
    nobody dunns it, and they do not. `awaiting` are the ids of subscriptions whose first payment has not come in,
    `purchases` what was bought once and paid for."""
    unpaid = [
        UnpaidInvoice(invoice.balance.due_on, invoice.balance.open, account.currency)
        for invoice in account.open_invoices()
    ]
    held = withheld(account.policy, account.dunning, unpaid, account.today) if dunned else ()
    facts = AccessFacts(
        account.id,
        account.zone,
        tuple(_subscribed(each, awaiting) for each in account.subscriptions.values()),
        (*purchases, *_given(account)),
        held,
        payment_open=bool(unpaid),
    )
    plans = {plan.code: plan.versions for plan in account.catalog.plans}
    return list(grants_of(facts, plans, account.policy.access))


def _subscribed(subscription: Subscription, awaiting: Collection[str]) -> Subscribed:
    pauses = [
        Span(start, end or subscription.resumes_on) for start, end in subscription.pauses if start != end
    ]
    return Subscribed(subscription.terms, tuple(pauses), subscription.terms.id in awaiting)


def _given(account: AccountState) -> Iterator[Given]:
    for gift in account.gifts.values():
        line = next(
            (
                line
                for invoice in account.invoices
                for line in invoice.billed
                if line.item_id == gift.id and line.price_id is not None
            ),
            None,
        )
        if line is None or line.price_id is None:
            continue
        plan, _ = account.prices[line.price_id]
        try:
            version = plan_version(account, plan, None, gift.bought_on).version
        except Refused:
            continue
        found = claimed(gift, plan, version)
        if found is not None:
            yield found
