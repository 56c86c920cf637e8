"""How a company at AvaTax is reached."""

from __future__ import annotations

from pydantic import Field

from connectors.sdk.config import Config, Secret


class AvalaraConfig(Config):
    """One company of one AvaTax account."""

    account: str = Field(description="The account number, which is the login")
    license_key: Secret = Field(description="Where the license key is: env:NAME or file:/path")
    company: str = Field(default="DEFAULT", description="The company's code in AvaTax")
    base_url: str = Field(
        default="https://rest.avatax.com",
        description="AvaTax's API; https://sandbox-rest.avatax.com for trials",
    )
