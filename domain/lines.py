"""A line of an invoice, as rating, tax and credit make it.

Lines are made by the million, so they are slotted and plain; they are not changed once made.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from domain.proration import Moment

ONE = Decimal(1)


@dataclass(slots=True)
class Line:
    """A line of an invoice. Amounts are minor units; `parent` is the place of the line it belongs to, among the
    lines of the same invoice, and says what a discount or tax line is for; `charge_key` is made from its owner (the
    item, or the parent's key) and the text `charge`; `category` is what tax is looked up by. The period is of local
    days, end exclusive; an edge is an aware instant where an item begins or ends by the second."""

    kind: str
    item_id: str | None
    price_id: str | None
    part: str | None
    period_start: Moment | None
    period_end: Moment | None
    quantity: Decimal
    amount: int
    parent: int | None
    reference: str | None
    rate: Decimal | None
    charge_key: str
    charge: str
    category: str
