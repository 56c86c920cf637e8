"""Which connections a checkout uses: the payment gateway for a mode, and who does what follows a sale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.capabilities.drm import Drm
from connectors.sdk.capabilities.payment import PaymentGateway, PaymentMethods, PaymentSetups
from connectors.sdk.capabilities.payment_facts import Happened, TellsOfPayments, standing
from connectors.sdk.capabilities.provisioning import Provisioner
from connectors.sdk.capabilities.shipping import Shipper
from connectors.sdk.config import Config
from operations.checkout.quote import Gateway, GatewayFor
from operations.checkout.told_standing import ReadTold, Told
from runtime.connection_source import ConnectionSpec
from runtime.connections import Connections

FULFILLING: Mapping[str, type[Capability]] = {"provisioning": Provisioner, "drm": Drm, "shipping": Shipper}


def gateway_for(connections: Connections) -> GatewayFor:
    """The first gateway of the file for a mode."""

    def choose(mode: str) -> Gateway | None:
        spec = _first(connections, PaymentGateway, mode)
        if spec is None:
            return None
        return Gateway(
            spec.name,
            issubclass(spec.connector, PaymentMethods) and issubclass(spec.connector, PaymentSetups),
        )

    return choose


def fulfilled_by(connections: Connections) -> Callable[[str], Mapping[str, str | None]]:
    """The connection of each capability that follows a sale, for a mode; None where nothing is configured."""

    def choose(mode: str) -> dict[str, str | None]:
        found = {name: _first(connections, capability, mode) for name, capability in FULFILLING.items()}
        return {name: None if spec is None else spec.name for name, spec in found.items()}

    return choose


def told_by(connections: Connections) -> Callable[[str], ReadTold | None]:
    """What reads that which the gateway of a connection tells, where it cannot be asked how a payment stands."""
    found = {
        spec.name: reading(spec.connector, spec.config)
        for spec in connections.of_capability(PaymentGateway)
        if "find" in spec.connector.cannot_answer
        and issubclass(spec.connector, TellsOfPayments)
        and spec.config is not None
    }
    return found.get


def reading(gateway: type[TellsOfPayments[Any]], config: Config) -> ReadTold:
    """Reads the latest webhook of a payment as how it stands. A hold that is known need not be told of any more: the
    latest tells what became of it."""

    def read(payload: Mapping[str, Any], held: bool, captures_itself: bool) -> Told:
        facts = list(gateway.facts(config, payload))
        latest = next((fact.happened for fact in facts), None)
        if held:
            facts += [
                fact.model_copy(update={"happened": Happened.CHARGED, "decline": None}) for fact in facts[:1]
            ]
        stands = standing(facts, captures_itself=captures_itself)
        return Told(
            None if stands.status is None else stands.status.value,
            None if latest is None else latest.value,
            None if stands.decline is None else stands.decline.code,
        )

    return read


def _first(connections: Connections, capability: type[Capability], mode: str) -> ConnectionSpec | None:
    """The first connection of a mode. Where live accounts have none, one to the sandbox will do: nothing real is
    done there, as in a demo."""
    able = connections.of_capability(capability)
    own = [spec for spec in able if spec.mode == mode]
    return next(iter(own or [spec for spec in able if spec.sandbox]), None)
