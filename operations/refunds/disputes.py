"""Disputes of payers: what gateways tell of them, brought into the books, and people's notes for the answer."""

from __future__ import annotations

from datetime import datetime

from domain.account.disputing import Booked, Stage, follow, latest
from operations.accounts.unit import changing
from operations.audit import append_action
from operations.tariffs import Tariff
from storage.database import PgConnection
from storage.disputes import (
    DisputeRow,
    add_evidence,
    change_dispute,
    other_open_disputes,
    put_dispute,
    read_dispute,
    unattached_disputes,
)
from storage.events import NewEvent, append_events
from storage.refunds import payment_at

STATUS = {Stage.ANNOUNCED: "open", Stage.TAKEN: "open", Stage.WON: "won", Stage.LOST: "lost"}
VERSIONS = {stage: number for number, stage in enumerate(Stage, 1)}


def tell_dispute(
    connection: PgConnection,
    tariff: Tariff,
    *,
    mode: str,
    gateway: str,
    gateway_id: str,
    gateway_payment: str,
    reference: str,
    currency: str,
    amount: int,
    stage: Stage,
    now: datetime,
    fee: int = 0,
) -> DisputeRow:
    """What a gateway told of a dispute: recorded, and in the books as far as its payment is known here. Told again, or
    after something later, it changes nothing; in every order it comes to the same. fee: what the gateway keeps for it
    by this stage, minor units."""
    known = payment_at(connection, mode, gateway, gateway_payment)
    if known is not None:
        _lock_account(connection, known[1])
    row = put_dispute(
        connection,
        mode=mode,
        gateway=gateway,
        gateway_id=gateway_id,
        gateway_payment=gateway_payment,
        reference=reference,
        currency=currency,
        amount=amount,
        stage=stage.value,
    )
    reached = latest(stage, Stage(row.stage))
    changes = {
        "stage": reached.value,
        "status": STATUS[reached],
        "amount": max(amount, row.amount),
        "fee": _fee(fee, stage, row),
        "payment_id": row.payment_id or (known and known[0]),
        "account_id": row.account_id or (known and known[1]),
    }
    if any(getattr(row, name) != value for name, value in changes.items()):
        change_dispute(connection, row.id, changes)
    return book(connection, tariff, row.id, now)


def book(connection: PgConnection, tariff: Tariff, dispute_id: str, now: datetime) -> DisputeRow:
    """Bring the books to where the dispute stands."""
    row = read_dispute(connection, dispute_id)
    if row.account_id is None or row.payment_no is None or row.payment_id is None:
        return row
    with changing(connection, tariff, row.account_id, now) as unit:
        row = read_dispute(connection, dispute_id, lock=True)
        before = Booked(row.booked_taken, row.booked_lost, row.booked_fee)
        receipt = unit.account.receipts[int(row.payment_no or 0) - 1]
        status = receipt.payment.status
        after = follow(
            unit.account,
            receipt,
            Stage(row.stage),
            row.amount,
            before,
            f"dispute {row.gateway_id}",
            others_open=other_open_disputes(connection, str(row.payment_id), row.id),
            fee=row.fee,
        )
        moved = after != before or receipt.payment.status is not status
    if moved:
        change_dispute(
            connection,
            row.id,
            {"booked_taken": after.taken, "booked_lost": after.lost, "booked_fee": after.fee},
        )
        version = VERSIONS[Stage(row.stage)]
        append_events(
            connection, [NewEvent(f"dispute.{STATUS[Stage(row.stage)]}", row.account_id, row.id, version)]
        )
    return read_dispute(connection, dispute_id)


def _fee(told: int, stage: Stage, row: DisputeRow) -> int:
    """The fee by the latest stage, which may have given it back; of one stage the most that was told."""
    before = Stage(row.stage)
    if stage is before:
        return max(told, row.fee)
    return told if latest(stage, before) is stage else row.fee


def attach(connection: PgConnection, tariff: Tariff, now: datetime, *, limit: int = 100) -> int:
    """Disputes that were told of before their payment was known here, brought into the books; how many."""
    done = 0
    for row in unattached_disputes(connection, limit):
        known = payment_at(connection, row.mode, row.connection, row.gateway_payment)
        if known is not None:
            _lock_account(connection, known[1])
            change_dispute(connection, row.id, {"payment_id": known[0], "account_id": known[1]})
            book(connection, tariff, row.id, now)
            done += 1
    return done


def note(
    connection: PgConnection, dispute_id: str, actor: str, text: str, key: str, now: datetime
) -> DisputeRow:
    """Keep a person's note of what speaks for us; once for each `key`. Raises NoSuchDispute."""
    row = read_dispute(connection, dispute_id, lock=True)
    if not any(each.get("key") == key for each in row.evidence):
        kept = {"at": now.isoformat(), "by": actor, "text": text, "key": key}
        add_evidence(connection, row.id, kept)
        append_action(connection, key=key, actor=actor, action="dispute.note", subject=row.id, reason=text)
    return read_dispute(connection, dispute_id)


def _lock_account(connection: PgConnection, account_id: str) -> None:
    """The account before the dispute, as `changing` locks it: no two wait for each other in a ring."""
    connection.execute("select from account where id = %s for update", (account_id,))
