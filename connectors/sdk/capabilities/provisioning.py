"""Users and their groups in an identity system."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.key import Key
from connectors.sdk.values import Value


class UserState(Value):
    """The current state of a user. external_id: ours. features: one group each."""

    external_id: str = Field(min_length=1, max_length=100)
    user_name: str = Field(repr=False)
    given_name: str = Field(default="", repr=False)
    family_name: str = Field(default="", repr=False)
    active: bool = True
    features: tuple[str, ...] = ()


class ProvisionedUser(Value):
    """A user as the other system has them."""

    id: str
    external_id: str
    active: bool
    features: tuple[str, ...] = ()


class UserDeactivation(Value):
    """End a user's access."""

    external_id: str


class Provisioner(Capability):
    """User provisioning by entitlement."""

    capability = "provisioning"

    @abstractmethod
    async def put(self, user: UserState, key: Key) -> ProvisionedUser:
        """Bring the user and their groups to the current state."""

    @abstractmethod
    async def deactivate(self, user: UserDeactivation, key: Key) -> ProvisionedUser:
        """End access; one that is inactive already is answered as they are."""

    @abstractmethod
    async def find(self, external_id: str) -> ProvisionedUser | None:
        """The user with our id; None when there is none."""
