"""Which accounts a bill run is for: all, or those of a currency, plan, time zone or key, or those parked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.bill_runs import EVERYBODY
from storage.tax_documents import COMMANDS

_FILTERS = {
    "currency": "a.currency = %(scope)s",
    "time-zone": "a.time_zone = %(scope)s",
    "account": "a.external_key = %(scope)s",
    # Those that a run, named by its id, or commands left because the tax engine was away.
    "tax-pending": "exists (select from parked p where p.account_id = a.id and p.kind = 'bill-run'"
    " and p.error_kind = 'tax_pending' and p.resolved_at is null"
    f" and coalesce(p.bill_run_id::text, '{COMMANDS}') = %(scope)s)",
    "plan": "exists (select from subscription_item i where i.subscription_id = s.id and i.plan_code = %(scope)s)",
}
_PARKED = "exists (select from parked p where p.account_id = a.id and p.kind = 'bill-run' and p.resolved_at is null)"


class ScopeError(ValueError):
    """A scope that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A parsed scope; `name` is its canonical text, and part of the run's identity."""

    name: str

    @classmethod
    def parse(cls, text: str) -> Scope:
        """`all`, `parked`, or `currency:EUR`, `plan:CODE`, `time-zone:Asia/Tokyo`, `account:KEY`, `tax-pending:RUN`.

        Raises ScopeError for anything else.
        """
        if text in ("all", "parked"):
            return cls(text)
        kind, separator, value = text.partition(":")
        if kind not in _FILTERS or not separator or not value.strip():
            known = ", ".join(f"{name}:VALUE" for name in _FILTERS)
            raise ScopeError(f"{text!r} is no scope; use all, parked, or one of {known}")
        return cls(f"{kind}:{value.strip()}")

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        """The condition on account `a` and subscription `s`, with its parameters."""
        if self.name == "all":
            return EVERYBODY, {}
        if self.name == "parked":
            return _PARKED, {}
        kind, _, value = self.name.partition(":")
        return _FILTERS[kind], {"scope": value}
