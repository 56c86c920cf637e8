"""Acting on parked work by an update of the workflow that waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.heartbeat import pulse
from contracts.parked import Action, Decided, Resolve
from operations.parked.decide import CannotDecide, Decision, NoSuchPark, decide
from storage.database import transaction


class ParkedActivities:
    """Parked work in the database of `engine`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @activity.defn(name="decide_parked", no_thread_cancel_exception=True)
    def decide(self, order: Resolve) -> Decided:
        """Commit what a person decided. What does not fit is refused for good, with the reason as message."""
        if order.park_id is None or order.action is Action.EDIT:
            raise ApplicationError("no edit here, and a park_id", type="bad_order", non_retryable=True)
        decision = Decision(order.action, order.actor, order.reason, not_applied=order.not_applied)
        try:
            with pulse(), transaction(self._engine) as connection:
                return decide(connection, order.park_id, decision)
        except CannotDecide as error:
            raise ApplicationError(str(error), type=error.kind, non_retryable=True) from error
        except NoSuchPark as error:
            raise ApplicationError(str(error), type="no_such_park", non_retryable=True) from error

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.decide]
