"""All stand-ins in one application, each at `/<system>`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from aiohttp import web

from sandbox.server import build_application
from sandbox.stand_in import StandIn

#: System → "module:class", imported when it is asked for.
SYSTEMS: dict[str, str] = {
    "adyen": "sandbox.adyen.stand_in:AdyenStandIn",
    "stripe": "sandbox.stripe.stand_in:StripeStandIn",
    "avatax": "sandbox.avatax.stand_in:AvaTaxStandIn",
    "hubspot": "sandbox.hubspot.stand_in:HubSpotStandIn",
    "smtp": "sandbox.smtp.stand_in:SmtpStandIn",
    "reference": "sandbox.reference.stand_in:ReferenceStandIn",
}


def stand_ins(systems: Iterable[str] | None = None) -> dict[str, StandIn]:
    """New stand-ins of these systems, of all when None; ValueError for an unknown name."""
    made: dict[str, StandIn] = {}
    for system in systems or SYSTEMS:
        if system not in SYSTEMS:
            raise ValueError(f"no stand-in is called {system!r}; there are: {', '.join(sorted(SYSTEMS))}")
        module, _, name = SYSTEMS[system].partition(":")
        made[system] = getattr(import_module(module), name)()
    return made


def build_app(systems: Iterable[str] | None = None) -> web.Application:
    """The application that serves them; see `sandbox.server.build_application`."""
    return build_application(stand_ins(systems), mounted=True)
