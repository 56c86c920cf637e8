"""Who pays: what an account is billed in, where, and how it is taxed and charged."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from domain.account.commands import ZoneName
from domain.catalog import Currency
from domain.tax import Treatment


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaxTerms(_Strict):
    """How the account is taxed; the rates stand in the catalog."""

    region: str | None = Field(None, description="of the catalog's tax_rates; null: not taxed")
    inclusive: bool = Field(False, description="whether prices have the tax within them")
    treatment: Treatment = Field(
        Treatment.TAXABLE, description="taxable, exempt, or reverse_charge (the buyer owes it)"
    )


class AccountTerms(_Strict):
    """Who pays."""

    currency: Currency = Field(description="ISO 4217 code; the catalog has to have prices in it")
    timezone: ZoneName = Field(
        "UTC", description="IANA name, such as Europe/Berlin: whose local days everything is counted in"
    )
    bill_cycle_day: int | None = Field(
        None, ge=1, le=31, description="default: the day on which a subscription starts"
    )
    tax: TaxTerms = Field(TaxTerms(), description="how the account is taxed; default: not at all")
    auto_pay: bool = Field(
        True, description="whether invoices are charged to a payment method when they are finalised"
    )
    payment_terms_days: int | None = Field(
        None, ge=0, le=365, description="days from invoice date to due date; default: the policy's"
    )
