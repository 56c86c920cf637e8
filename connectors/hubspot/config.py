"""How a HubSpot account is reached."""

from __future__ import annotations

from pydantic import Field, model_validator

from connectors.sdk.config import Config, Secret


class HubSpotConfig(Config):
    """One HubSpot account: by the token of a private app, or by OAuth with a client of its own."""

    base_url: str = Field(
        default="https://api.hubapi.com", description="HubSpot's API; a sandbox has another"
    )
    access_token: Secret | None = Field(default=None, description="Where a private app's token is")
    client_id: str | None = Field(default=None, description="The OAuth client, where there is no private app")
    client_secret: Secret | None = Field(default=None, description="Where the OAuth client's secret is")
    id_property: str = Field(
        default="masthead_key",
        pattern=r"^[a-z][a-z0-9_]*$",
        description="The property, unique in HubSpot, that holds our key of a record",
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> HubSpotConfig:
        private, oauth = self.access_token is not None, self.client_id is not None
        if private == oauth:
            raise ValueError("give access_token, or client_id and client_secret")
        if oauth and self.client_secret is None:
            raise ValueError("client_id needs client_secret")
        return self
