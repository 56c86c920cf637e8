"""Refunds in a seed: who asks for which, and the gateways' own logs of them against our rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg

from operations.accounts.commands import CommandRefused
from operations.refunds.asking import refund_payment
from sandbox.stand_in import StandIn
from storage.database import transaction
from storage.refunds import RefundRow, refund_key
from tests.faults.payment_draw import Wish
from tests.operations.charges.charged import NOW, Fleet

TRIES = 20


class Asking:
    """Asks for refunds as the API does, and keeps what was wrong with the answers."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.wrong: list[str] = []
        self.asked: list[RefundRow] = []
        self.refused = 0
        self.reasons: list[str] = []

    def ask(self, wish: Wish) -> None:
        """Wish it of what is paid by now, if anything is."""
        paid = self._fleet.rows(
            "select p.account_id::text, p.no, p.amount, p.id::text from payment p join charge c on c.payment_id = p.id"
            " where p.status in ('succeeded', 'refunded') order by p.account_id, p.no"
        )
        if not paid:
            return
        account, no, amount, payment = paid[wish.pick % len(paid)]
        if wish.how == "two at once":
            got = self._together(account, no, [str(uuid4()), str(uuid4())])
            if sum(each is not None for each in got) > 1:
                self.wrong.append(f"two full refunds at once of payment {payment}: {got}")
            self._refused_rightly(payment, got)
        elif wish.how == "same twice":
            command = str(uuid4())
            got = self._together(account, no, [command, command])
            if len({each and each.id for each in got}) != 1:
                self.wrong.append(f"one command asked twice for a refund of payment {payment}: {got}")
        elif wish.how == "more":
            if self._ask(account, no, str(uuid4()), _major(amount + 1)) is not None:
                self.wrong.append(f"more than payment {payment} was refunded")
        elif wish.how == "part":
            self._ask(account, no, str(uuid4()), _major(max(1, amount * wish.percent // 100)))
        else:
            self._refused_rightly(payment, [self._ask(account, no, str(uuid4()), None)])

    def _refused_rightly(self, payment: str, got: list[RefundRow | None]) -> None:
        """All that is left is refused only where another has asked for some of it."""
        if not any(got) and not self._fleet.rows("select from refund where payment_id = %s", payment):
            self.wrong.append(f"a full refund of payment {payment} was refused: {self.reasons}")

    def _together(self, account: str, no: int, commands: list[str]) -> list[RefundRow | None]:
        with ThreadPoolExecutor(len(commands)) as threads:
            return list(threads.map(lambda command: self._ask(account, no, command, None), commands))

    def _ask(self, account: str, no: int, command: str, amount: str | None) -> RefundRow | None:
        for left in reversed(range(TRIES)):
            try:
                with transaction(self._fleet.engine) as connection:
                    tariff = self._fleet.tariffs.current(connection)
                    row = refund_payment(
                        connection, tariff, account, no, command, amount=amount, reason="seeds", now=NOW
                    )
            except CommandRefused as refusal:
                self.refused += 1
                self.reasons.append(str(refusal))
                return None
            except psycopg.OperationalError:
                if not left:
                    raise
            else:
                self.asked.append(row)
                return row
        raise AssertionError("unreachable")


def refund_differences(fleet: Fleet, gateways: Mapping[str, StandIn]) -> list[str]:
    """What the gateways' own logs say of refunds that our rows do not, and the reverse; what is not at its end."""
    found = []
    known: Counter[tuple[str, str]] = Counter()
    for payment, no, connection, amount, status, own in fleet.rows(
        "select payment_id::text, no, connection, amount, status, gateway_id from refund order by 1, 2"
    ):
        key = refund_key(payment, no)
        known[connection, key] += 1
        gateway = gateways[connection]
        made = [each.detail["amount"] for each in gateway.effects.of("refund", key)]
        failed = max(gateway.effects.count("refund_failed", each) for each in (key, str(own)))
        if status == "succeeded" and (made, failed) != ([amount], 0):
            found.append(f"{key} of {amount} is paid, and {connection} has paid {made}, {failed} failed")
        elif status == "failed" and len(made) != failed:
            found.append(f"{key} has failed, and {connection} has paid {made}, {failed} failed")
        elif status not in ("succeeded", "failed"):
            found.append(f"{key} has no end: {status}")
    for name, gateway in gateways.items():
        times = Counter(each.key for each in gateway.effects.of("refund"))
        found += [f"{name} refunded {key}, and nobody asked here" for key in times if not known[name, key]]
        found += [f"{name} refunded {key} {count} times" for key, count in times.items() if count > 1]
    found += [
        f"payment {payment} of {amount} was refunded {refunded}"
        for payment, amount, refunded in fleet.rows(
            "select p.id::text, p.amount, sum(r.amount) from payment p join refund r on r.payment_id = p.id"
            " where r.status <> 'failed' group by 1, 2 having sum(r.amount) > p.amount"
        )
    ]
    return found


def _major(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02}"
