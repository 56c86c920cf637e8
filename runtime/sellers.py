"""Which connections a checkout uses: the payment gateway for a mode, and who does what follows a sale."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.capabilities.drm import Drm
from connectors.sdk.capabilities.payment import PaymentGateway, PaymentMethods, PaymentSetups
from connectors.sdk.capabilities.provisioning import Provisioner
from connectors.sdk.capabilities.shipping import Shipper
from operations.checkout.quote import Gateway, GatewayFor
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


def _first(connections: Connections, capability: type[Capability], mode: str) -> ConnectionSpec | None:
    """The first connection of a mode. Where live accounts have none, one to the sandbox will do: nothing real is
    done there, as in a demo."""
    able = connections.of_capability(capability)
    own = [spec for spec in able if spec.mode == mode]
    return next(iter(own or [spec for spec in able if spec.sandbox]), None)
