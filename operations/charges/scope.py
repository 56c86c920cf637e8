"""Which accounts a payment run is for: all, those whose charge failed before, or those of a currency or key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from operations.billrun.scope import ScopeError

_FILTERS = {
    "currency": "a.currency = %(scope)s",
    "account": "a.external_key = %(scope)s",
}
_RETRIES = (
    "exists (select from dunning_case d"
    " where d.account_id = a.id and d.closed_at is null and d.retry_at is not null)"
)


@dataclass(frozen=True, slots=True)
class PaymentScope:
    """A parsed scope; `name` is its canonical text, and part of the run's identity."""

    name: str

    @classmethod
    def parse(cls, text: str) -> PaymentScope:
        """`all`, `retries`, or `currency:EUR`, `account:KEY`. Raises ScopeError for anything else."""
        if text in ("all", "retries"):
            return cls(text)
        kind, _, value = text.partition(":")
        if kind not in _FILTERS or not value.strip():
            known = ", ".join(f"{name}:VALUE" for name in _FILTERS)
            raise ScopeError(f"{text!r} is no scope; use all, retries, or one of {known}")
        return cls(f"{kind}:{value.strip()}")

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        """The condition on account `a`, with its parameters."""
        if self.name == "all":
            return "true", {}
        if self.name == "retries":
            return _RETRIES, {}
        kind, _, value = self.name.partition(":")
        return _FILTERS[kind], {"scope": value}
