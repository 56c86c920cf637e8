"""What a payment gateway has done since an instant, whoever asked for it: after a restore it knows what we do not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

from connectors.sdk.capabilities.payment import Payment


class ListsPayments(ABC):
    """A gateway that lists its payments, strongly consistent: a further base of its connector."""

    @abstractmethod
    async def payments_since(self, since: datetime) -> list[Payment]:
        """Every payment that was made or refunded at or after `since`, as it stands now, the oldest first.

        Those that others made there have no reference. Raises Broken where there are too many to be listed.
        """
