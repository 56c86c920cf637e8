"""Who the publisher is to its customers: what stands on its invoices, and how it writes to them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Address = Annotated[str, StringConstraints(pattern=r"^[^\r\n]{0,120}[^\s@<>]{1,64}@[^\s@<>]{1,120}>?$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s<>\"]{1,300}$")]
Template = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class Mails(BaseModel):
    """How the publisher writes to its customers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sender: Address | None = Field(
        None,
        description="who mails come from: Harbor Courier <service@harbor.example>; without it none is sent",
    )
    reply_to: Address | None = Field(None, description="where answers go, if not to the sender")
    connection: str | None = Field(
        None,
        description="the mail connection to use; left out: the first of masthead.yaml that fits the mode",
    )
    off: tuple[Template, ...] = Field((), description="templates that are not sent, as invoice or receipt")
    account_url: Url | None = Field(None, description="where customers manage their subscription")
    unsubscribe_url: Url | None = Field(
        None,
        description="where the API is reached from outside, as https://hub.harbor.example: begins the link by which "
        "readers end marketing mails; without it none of those is sent",
    )
    payment_url: Url | None = Field(
        None,
        description="where the API is reached from outside: begins the link to the page on which a customer pays or "
        "confirms a payment; left out: unsubscribe_url, and without either those mails lead to account_url",
    )
    payment_link_days: int = Field(
        30, ge=1, le=365, description="how many days after its mail the link to that page holds"
    )

    @property
    def pages_url(self) -> str | None:
        """Where the page of payments is reached from outside, without a slash at its end."""
        url = self.payment_url or self.unsubscribe_url
        return url.rstrip("/") if url else None


class Publisher(BaseModel):
    """The sender of invoices and mails."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text | None = Field(None, description="as it stands at the head of invoices")
    address: tuple[Text, ...] = Field((), max_length=6, description="postal address, line by line")
    tax_id: Text | None = Field(
        None, description="VAT or other tax number, as tax offices want it on invoices"
    )
    registration: Text | None = Field(
        None, description="company register, board, licence: one line of small print"
    )
    website: Text | None = Field(None, description="shown on invoices and in mails")
    contact: Text | None = Field(None, description="mail address or telephone for questions about an invoice")
    payment: tuple[Text, ...] = Field(
        (), max_length=6, description="how an open invoice is paid by transfer, line by line: bank, IBAN, BIC"
    )
    mails: Mails = Field(Mails(), description="how mails are sent")
