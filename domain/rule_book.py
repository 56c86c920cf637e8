"""The rule book: what a publisher decides beside the catalog. It holds for every account, unless one names another."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from domain.coupons import Coupon
from domain.gateway_routing import Gateways
from domain.media.deliveries import DeliveryCalendar
from domain.policy import Policy
from domain.publisher import Publisher


class RuleBook(BaseModel):
    """Policy, coupons, delivery days, gateways and the publisher; each has a default that an ordinary publisher can
    live with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Policy = Field(Policy(), description="the publisher's choices; what is left out has its default")
    coupons: tuple[Coupon, ...] = Field((), description="what subscribers can apply, by code")
    delivery: DeliveryCalendar | None = Field(
        None, description="on which days issues appear, for holiday stops"
    )
    gateways: Gateways = Field(
        Gateways(), description="which payment gateway charges what, and which one stands by"
    )
    publisher: Publisher = Field(
        Publisher(), description="who sends invoices and mails: name, address, tax number, sender"
    )
