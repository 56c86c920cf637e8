"""The Stripe stand-in as a whole: its own controls and its page."""

from __future__ import annotations

from typing import Any

from sandbox.stripe.events import Events


class StripeStandIn(Events):
    """Stripe on 127.0.0.1: `with StripeStandIn() as s: StripeClient("sk_test_x", base_addresses={"api": s.url})`.

    Effects: charge, authorization, refund, refund_failed, void, dispute, setup, attach, customer. Their key is metadata
    `reference` (or one whose name ends so), else the idempotency key; they are found by both, and by the objects' ids.
    """

    def control(self, what: str, fields: dict[str, Any]) -> Any:
        """Own controls.

        `disputes` {payment, reason?, amount?}, `close_dispute` {dispute, status}, `cards` {payment_method, outcome},
        `renew_card` {payment_method, exp_month, exp_year, last4?}.
        """
        if what == "disputes":
            return self.dispute(**fields)
        if what == "close_dispute":
            return self.close_dispute(**fields)
        if what == "cards":
            self.turn_card(**fields)
            return fields
        if what == "renew_card":
            self.renew_card(**fields)
            return fields
        return super().control(what, fields)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Payments, refunds, disputes, customers with their cards, events."""
        shown = {
            "Payment intents": (
                "payment_intent",
                ("id", "amount", "currency", "status", "customer", "metadata"),
            ),
            "Refunds": ("refund", ("id", "amount", "currency", "status", "payment_intent", "metadata")),
            "Disputes": ("dispute", ("id", "amount", "currency", "status", "reason", "payment_intent")),
            "Setup intents": ("setup_intent", ("id", "status", "customer", "payment_method")),
            "Customers": ("customer", ("id", "email", "name", "metadata")),
        }
        tables = {}
        for title, (kind, columns) in shown.items():
            rows = [{name: _cell(one.get(name)) for name in columns} for one in self.objects[kind].values()]
            tables[title] = rows
        tables["Saved cards"] = [
            {
                "id": one["id"],
                "card": f"{one['card']['brand']} {one['card']['last4']}",
                "customer": one["customer"],
                "declines": self.cards[one["id"]].decline or "",
            }
            for one in self.objects["payment_method"].values()
            if one["customer"]
        ]
        tables["Events"] = [
            {name: one[name] for name in ("id", "type", "pending_webhooks")}
            for one in self.objects["event"].values()
        ]
        return tables


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{name}={inner}" for name, inner in value.items())
    return "" if value is None else value
