"""The steps of a refund that touch the database. The gateway is called by the activity of its method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from temporalio import activity

from activities.heartbeat import pulse
from contracts.refund import RefundRef, RefundStanding
from operations.billrun.fail_points import fail_point
from operations.refunds.settling import begin, look, note_answer
from operations.tariffs import Tariffs
from storage.database import transaction


class RefundActivities:
    """Refunds in the database of `engine`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tariffs = Tariffs(engine)

    @activity.defn(name="begin_refund", no_thread_cancel_exception=True)
    def begin(self, ref: RefundRef) -> RefundStanding:
        """Note that its process has begun; what has to be asked of the gateway."""
        with pulse(), transaction(self._engine) as connection:
            standing = begin(connection, ref.refund_id, ref.now)
        fail_point("after-begin-refund")
        return standing

    @activity.defn(name="note_refund", no_thread_cancel_exception=True)
    def note(self, ref: RefundRef) -> RefundStanding:
        """Write down what the gateway answered, with what follows for the books."""
        fail_point("before-note-refund")
        with pulse(), transaction(self._engine) as connection:
            standing = note_answer(connection, self._tariffs.current(), ref.refund_id, ref.now)
            fail_point("before-note-refund-commit")
        fail_point("after-note-refund")
        return standing

    @activity.defn(name="look_refund", no_thread_cancel_exception=True)
    def look(self, ref: RefundRef) -> RefundStanding:
        """How it stands by now, as webhooks and people have told."""
        with pulse(), transaction(self._engine) as connection:
            return look(connection, ref.refund_id, late=ref.late)

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.begin, self.note, self.look]
