"""The sweep's daily look at renewals: who is to be told of one, and telling them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from temporalio import activity

from activities.heartbeat import pulse
from contracts.sweep import RenewalsPageInput, RenewalsPageOutput
from operations.follow_ups.carrying import ProvisionerOf, nobody
from operations.follow_ups.renewals import renewals_to_tell, tell_of_renewal
from operations.tariffs import Tariffs


class RenewalActivities:
    """Notices of renewals, on the database of `engine`. `provisioner` names the connection that provides access to
    accounts of a mode."""

    def __init__(self, engine: Engine, provisioner: ProvisionerOf = nobody) -> None:
        self._engine = engine
        self._provisioner = provisioner
        self._tariffs = Tariffs(engine)

    @activity.defn(name="renewals_page", no_thread_cancel_exception=True)
    def page(self, order: RenewalsPageInput) -> RenewalsPageOutput:
        """Tell of one page of renewals."""
        with pulse() as heart:
            tariff = self._tariffs.current()
            refs = renewals_to_tell(self._engine, tariff, order.now, after=order.after, limit=order.limit)
            for ref in refs:
                heart("tell of renewals")
                tell_of_renewal(self._engine, tariff, ref, order.now, self._provisioner)
        return RenewalsPageOutput(told=len(refs), last=refs[-1].subscription_id if refs else None)

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.page]
