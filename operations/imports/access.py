"""What imported subscriptions give access to, as rows for COPY."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from domain.entitlements import AccessFacts, Plans, Subscribed, grants_of
from domain.import_record import ImportedRow
from domain.periods import Anchor, Interval, Unit
from domain.policy import AccessPolicy
from domain.subscription_terms import Item, SubscriptionTerms
from domain.subscriptions import State
from storage.entitlements import grant_row

_REMEMBERED = 20_000


class ImportedAccess:
    """Grants of imported subscriptions. What they follow from is the same for many rows, and is worked out once."""

    def __init__(self, plans: Plans, policy: AccessPolicy) -> None:
        self._plans = plans
        self._policy = policy
        self._known: dict[tuple[Any, ...], tuple[str, ...]] = {}

    def grant_rows(self, row: ImportedRow) -> tuple[str, ...]:
        """The grants of `row` as `storage.entitlements.grant_row` gives them."""
        key = (row.opening, row.time_zone, *((item.plan, item.version) for item in row.items))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[key] = self._worked_out(row)
        return known

    def _worked_out(self, row: ImportedRow) -> tuple[str, ...]:
        opening = row.opening
        terms = SubscriptionTerms(
            id="",
            version=1,
            status=State(opening.status),
            starts_on=opening.starts_on,
            trial_ends_on=opening.trial_ends_on,
            anchor=Anchor(opening.anchor_on, opening.anchor_day),
            interval=Interval(Unit(opening.interval_unit), opening.interval_count),
            ends_on=opening.ends_on,
            charged_through=opening.charged_through,
            arrears_through=opening.arrears_through,
            next_bill_on=opening.next_bill_on,
            items=[
                Item("", item.plan, item.version, Decimal(1), None, opening.starts_on, None)
                for item in row.items
            ],
        )
        facts = AccessFacts("", ZoneInfo(row.time_zone), (Subscribed(terms),))
        return tuple(grant_row(grant) for grant in grants_of(facts, self._plans, self._policy))
