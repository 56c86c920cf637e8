"""How a merchant account at Adyen is reached."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field

from connectors.sdk.config import Config, Secret
from connectors.sdk.context import Mode
from connectors.sdk.errors import DefinitionError
from connectors.sdk.values import Currency


class AdyenConfig(Config):
    """One merchant account at Adyen, live or test by its address."""

    api_key: Secret = Field(description="Where the API key is: env:NAME or file:/path")
    merchant_account: str = Field(
        min_length=1, description="The merchant account; notifications for any other are refused"
    )
    base_url: str = Field(
        default="https://checkout-test.adyen.com/v71",
        description="Adyen's Checkout API; live it is https://PREFIX-checkout-live.adyenpayments.com/checkout/v71",
    )
    return_url: str = Field(
        default="https://return.invalid/",
        description="Where a customer comes back to when an order names no address; Adyen wants one with each payment",
    )
    setup_currency: Currency = Field(
        default="EUR", description="The currency in which a card is verified with an amount of nothing"
    )


def address_of(config: AdyenConfig, mode: Mode) -> str:
    """The Checkout API of a connection in `mode`. Raises DefinitionError for Adyen's other system: test cards would pay
    for live accounts, or real cards for tests."""
    host = urlsplit(config.base_url).hostname or ""
    is_test, is_live = host.endswith("-test.adyen.com"), host.endswith("-live.adyenpayments.com")
    if (mode == "live" and is_test) or (mode == "test" and is_live):
        system = "test" if is_test else "live"
        raise DefinitionError(
            f"the connection is in {mode} mode and base_url is Adyen's {system} system: change either of them"
        )
    return config.base_url
