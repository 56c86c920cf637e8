"""What authors test connectors with: stand-ins of vendors on real sockets, and how to write one."""

from __future__ import annotations

from connectors.sdk.testing.suite import Suite
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.calls import Answer, Call, Recorded, Refused, html_answer, json_answer
from sandbox.clock import Clock
from sandbox.effects import Effect, Effects
from sandbox.faults import FAULTS, Fault, Faults
from sandbox.idempotency import IdempotencyKeys, KeyInUse, KeyReused
from sandbox.reference.stand_in import ReferenceStandIn
from sandbox.routes import route
from sandbox.stand_in import StandIn
from sandbox.stripe.stand_in import StripeStandIn
from sandbox.webhooks import Webhook

__all__ = [
    "FAULTS",
    "AdyenStandIn",
    "Answer",
    "Call",
    "Clock",
    "Effect",
    "Effects",
    "Fault",
    "Faults",
    "IdempotencyKeys",
    "KeyInUse",
    "KeyReused",
    "Recorded",
    "ReferenceStandIn",
    "Refused",
    "StandIn",
    "StripeStandIn",
    "Suite",
    "Webhook",
    "html_answer",
    "json_answer",
    "route",
]
