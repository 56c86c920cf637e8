"""A portal that has been prepared for Masthead: its key is a unique property of every kind, and any token is taken."""

from __future__ import annotations

from sandbox.calls import Answer, Call
from sandbox.hubspot.properties import KINDS
from sandbox.hubspot.stand_in import HubSpotStandIn

KEY = "masthead_key"
#: Properties of ours that the shipped flows write to.
OF_CONTACTS = ("subscription_status", "subscription_plans", "open_balance")


class PreparedPortal(HubSpotStandIn):
    """As a portal is after its administrator followed the documentation."""

    def reset(self) -> None:
        """An empty portal with our properties."""
        super().reset()
        for kind in KINDS.values():
            self.add_property(kind.plural, KEY, unique=True)
        for name in OF_CONTACTS:
            self.add_property("contacts", name)

    def authorize(self, call: Call) -> Answer | None:
        """Any private app's token is good, for the secret of a connector under trial is not known here."""
        if not call.headers.get("authorization", "").startswith("Bearer "):
            return self.error(401, "unauthorized")
        return None


def with_our_key() -> PreparedPortal:
    """The portal for a connector under trial: a quota that no trial uses up."""
    return PreparedPortal(ten_secondly=100_000)
