"""Our own connectors keep the whole contract beside stand-ins of their vendors: laws, webhooks, the fault matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.adyen.connector import Adyen
from connectors.avalara.connector import Avalara
from connectors.hubspot.connector import HubSpot
from connectors.smtp.connector import Smtp
from connectors.stripe.connector import Stripe
from masthead.testing import StripeStandIn, Suite
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.avatax.stand_in import with_any_key
from sandbox.hubspot.prepared import with_our_key
from sandbox.smtp.stand_in import with_any_login
from tests.vendor_truth.described import misfits


class Described(Suite):
    """Every request that is sent on the way also fits the vendor's own description, where that is at hand."""

    def sent(self, requests: Sequence[Any]) -> None:
        assert misfits(self.connector.name, requests) == {}


class TestAdyen(Described):
    connector = Adyen
    stand_in = AdyenStandIn


class TestAvalara(Described):
    connector = Avalara
    stand_in = with_any_key


class TestHubSpot(Described):
    connector = HubSpot
    stand_in = with_our_key


class TestSmtp(Suite):
    connector = Smtp
    stand_in = with_any_login


class TestStripe(Described):
    connector = Stripe
    stand_in = StripeStandIn
