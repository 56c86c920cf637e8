"""Commands on one connection, and work beside them on another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import uuid4

from pydantic import TypeAdapter
from sqlalchemy import Engine
from uuid_utils import uuid7

from domain.account.commands import Step
from operations.accounts.commands import carry_out
from operations.tariffs import Tariffs
from storage.database import PgConnection, transaction

STEP: TypeAdapter[Any] = TypeAdapter(Step)


def do(
    connection: PgConnection,
    engine: Engine,
    account: str,
    now: datetime,
    *,
    invoice_now: bool = False,
    **step: Any,
) -> None:
    """A command that is not refused, in the transaction of `connection`."""
    asked = STEP.validate_python({"at": str(now.date()), **step})
    outcome = carry_out(
        connection, Tariffs(engine).current(), account, str(uuid4()), asked, now, invoice_now=invoice_now
    )
    assert "refused" not in outcome.answer


def opened(engine: Engine) -> str:
    """A live account in UTC, since 15 January 2026; its id."""
    own = str(uuid7())
    with transaction(engine) as connection:
        connection.execute(
            "insert into account (id, external_key, currency, time_zone, locale, auto_pay, settled_on)"
            " values (%s, %s, 'USD', 'UTC', 'en', false, %s)",
            (own, own, date(2026, 1, 15)),
        )
    return own


class Beside(threading.Thread):
    """Work on a connection of its own, beside ours."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self.work = work
        self.came_to: list[Any] = []

    def run(self) -> None:
        try:
            self.came_to.append(self.work())
        except BaseException as error:
            self.came_to.append(error)

    def result(self) -> Any:
        self.join(30)
        [found] = self.came_to
        if isinstance(found, BaseException):
            raise found
        return found
