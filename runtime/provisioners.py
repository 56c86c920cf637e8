"""Which connection provides access to the accounts of a mode."""

from __future__ import annotations

from connectors.sdk.capabilities.provisioning import Provisioner
from operations.follow_ups.carrying import ProvisionerOf
from runtime.connections import Connections


def provisioner_of(connections: Connections) -> ProvisionerOf:
    """The name of the first enabled connection of a mode that provisions users, None where there is none: test accounts
    are never provided for by a live connection, nor the reverse."""
    names: dict[str, str] = {}
    for spec in connections.of_capability(Provisioner):
        names.setdefault(spec.mode, spec.name)
    return names.get
