"""How an account at Stripe is reached."""

from __future__ import annotations

from pydantic import Field

from connectors.sdk.config import Config, Secret


class StripeConfig(Config):
    """One Stripe account, live or test by its key."""

    api_key: Secret = Field(description="Where the secret or restricted key is: env:NAME or file:/path")
    base_url: str = Field(default="https://api.stripe.com", description="Stripe's API; a sandbox has another")
    account: str | None = Field(default=None, description="A connected account to act for, as in acct_...")
