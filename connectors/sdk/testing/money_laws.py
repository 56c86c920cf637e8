"""Laws of capabilities that move or count money: payment, tax, ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from connectors.sdk.capabilities import ledger, payment, tax
from connectors.sdk.errors import Rejected
from connectors.sdk.key import Key
from connectors.sdk.testing import samples
from connectors.sdk.testing.case import Bench, Case, Skipped


async def _refused(bench: Bench, method: str, order: Any, key: Key, what: str) -> None:
    """The other system must refuse, by Rejected or by a value that says failed; `what` went through otherwise. Where
    it answers later it takes every order, and only its own count tells."""
    before = bench.stand_in.count()
    try:
        answer = await getattr(bench.connector, method)(order, key)
    except Rejected:
        return
    if method in bench.connector.answers_later:
        _is_in_flight(answer, method)
        assert bench.stand_in.count() == before, f"{what}: {answer!r}"
        return
    assert getattr(answer, "status", None) == "failed", f"{what}: {answer!r}"


def _is_in_flight(answer: Any, method: str) -> None:
    assert answer.status in ("processing", "pending"), (
        f"{method} is answered later, and its answer says {answer.status} already"
    )


def _later(bench: Bench, method: str) -> bool:
    return method in bench.connector.answers_later


async def _captured_is_at_most_authorised(bench: Bench) -> None:
    gateway = bench.connector
    held = await samples.held(gateway, "part")
    assert held.status is payment.PaymentStatus.AUTHORIZED, f"held, and its status is {held.status}"
    assert held.captured == 0
    before = bench.stand_in.count("charge")
    taken = await gateway.capture(
        payment.CaptureOrder(payment=held.id, amount=500, known=held), Key.of("capture", "part")
    )
    if _later(bench, "capture"):
        _is_in_flight(taken, "capture")
        assert taken.captured == 0, "in flight, and some of it is captured"
    else:
        assert (taken.status, taken.captured) == (payment.PaymentStatus.SUCCEEDED, 500)
    assert bench.stand_in.count("charge") == before + 1
    other = await samples.held(gateway, "over")
    over = payment.CaptureOrder(payment=other.id, amount=other.amount + 1, known=other)
    await _refused(bench, "capture", over, Key.of("capture", "over"), "captured more than was authorised")


async def _refunds_are_at_most_captured(bench: Bench) -> None:
    gateway = bench.connector
    charged = await samples.charged(gateway, "back")

    def order(reference: str, amount: int) -> payment.RefundOrder:
        return payment.RefundOrder(reference=reference, payment=charged.id, amount=amount, currency="USD")

    first = await gateway.refund(order("back-1", 800), Key.of("refund", "back-1"))
    assert (first.status, first.amount) in [(s, 800) for s in ("succeeded", "pending")], repr(first)
    if _later(bench, "refund"):
        _is_in_flight(first, "refund")
    too_much, key = order("back-2", 451), Key.of("refund", "back-2")
    await _refused(bench, "refund", too_much, key, "refunded more than was paid")
    last = await gateway.refund(order("back-3", 450), Key.of("refund", "back-3"))
    assert last.amount == 450
    assert bench.stand_in.count("refund") == 2


async def _found_as_charged(bench: Bench) -> None:
    if "find" in bench.connector.cannot_answer:
        raise Skipped(f"its system has nothing to ask: {bench.connector.cannot_answer['find']}")
    charged = await samples.charged(bench.connector, "found")
    found = await bench.connector.find(charged.reference)
    assert found is not None, "what was charged is not found by our reference"
    assert (found.id, found.amount, found.currency) == (charged.id, charged.amount, charged.currency)
    assert found.captured == charged.amount
    assert await bench.connector.find("pay-never-made") is None


async def _a_decline_is_a_value(bench: Bench) -> None:
    known = {"declined_method": "pm_card_chargeDeclined", **bench.connector.sandbox_order}
    method = bench.samples.get("declined_method", known["declined_method"])
    if method is None:
        raise Skipped("the stand-in has no payment method that declines")
    before = bench.stand_in.count("charge")
    order = samples.charge_to(bench.connector, "declined", method=method)
    answer = await bench.connector.charge(order, Key.of("charge", "declined"))
    assert answer.status is payment.PaymentStatus.FAILED, f"declined, and its status is {answer.status}"
    assert answer.decline is not None, "declined without a reason"
    assert answer.decline.code, "declined without a code"
    assert bench.stand_in.count("charge") == before, "a declined charge took money"


async def _a_void_releases(bench: Bench) -> None:
    held = await samples.held(bench.connector, "release")
    order = payment.VoidOrder(payment=held.id, known=held)
    before = bench.stand_in.count()
    for number in (1, 2):
        voided = await bench.connector.void(order, Key.of("void", "release", number))
        if _later(bench, "void"):
            _is_in_flight(voided, "void")
        else:
            assert voided.status is payment.PaymentStatus.CANCELED, "voiding what is void is no error"
    assert bench.stand_in.count() <= before + 1, "released twice"


PAYMENT = [
    Case("capability", "payment: captured ≤ authorised", _captured_is_at_most_authorised),
    Case("capability", "payment: refunds ≤ captured", _refunds_are_at_most_captured),
    Case("capability", "payment: found by our reference", _found_as_charged),
    Case("capability", "payment: a decline is a value", _a_decline_is_a_value),
    Case("capability", "payment: a void releases, twice is once", _a_void_releases),
]


def _sums(total: int, lines: tuple[tax.TaxedLine, ...]) -> None:
    assert sum(line.amount for line in lines) == total, "the lines' tax is not the total"
    for line in lines:
        assert sum(part.amount for part in line.parts) == line.amount, (
            f"parts of line {line.number} do not sum"
        )


async def _tax_lines_sum(bench: Bench) -> None:
    order = samples.tax_order("sum")
    before = bench.stand_in.count()
    quote = await bench.connector.quote(order)
    assert bench.stand_in.count() == before, "a quote was recorded"
    assert quote.currency == order.currency
    assert {line.number for line in quote.lines} == {line.number for line in order.lines}
    assert quote.total > 0, "no tax at all: give the stand-in a rate for New York"
    _sums(quote.total, quote.lines)
    document = await bench.connector.commit(order, Key.of("tax", order.code))
    assert document.status is tax.TaxStatus.COMMITTED
    assert (document.code, document.total) == (order.code, quote.total), "committed is not what was quoted"
    if document.lines:
        _sums(document.total, document.lines)


async def _tax_refund_is_the_negative(bench: Bench) -> None:
    made = await samples.committed(bench.connector, "neg")
    refund = await bench.connector.refund(
        tax.TaxRefund(code="CN-neg", of=made.code, on=samples.DAY), Key.of("tax-refund", "neg")
    )
    assert refund.total == -made.total, f"refunded {refund.total} of {made.total}"


async def _tax_is_found_and_voided(bench: Bench) -> None:
    made = await samples.committed(bench.connector, "void")
    found = await bench.connector.find(made.code)
    assert found is not None, "what was committed is not found by its code"
    assert (found.code, found.total, found.status) == (made.code, made.total, tax.TaxStatus.COMMITTED)
    void = tax.TaxVoid(code=made.code)
    voided = await bench.connector.void(void, Key.of("tax-void", "v"))
    assert voided.status is tax.TaxStatus.VOIDED
    again = await bench.connector.void(void, Key.of("tax-void", "v-2"))
    assert again.status is tax.TaxStatus.VOIDED, "voiding what is void is no error"
    assert await bench.connector.find("INV-never-made") is None


async def _tax_is_recorded_as_charged(bench: Bench) -> None:
    if not bench.connector.records_charged:
        raise Skipped("the engine records its own tax only")
    order = samples.tax_order("charged")
    quote = await bench.connector.quote(order)
    before = {line.number: line.amount for line in quote.lines}
    lines = tuple(
        line.model_copy(update={"charged": before[line.number] + more})
        for line, more in zip(order.lines, (7, -3), strict=True)
    )
    charged = order.model_copy(update={"lines": lines, "tax_date": samples.DAY - timedelta(days=1)})
    document = await bench.connector.commit(charged, Key.of("tax", order.code))
    assert document.total == quote.total + 4, f"{document.total} was recorded, and {quote.total + 4} charged"
    assert document.tax_date == charged.tax_date, "the tax date was not taken beside the tax charged"
    again = await bench.connector.quote(charged)
    assert {line.number: line.amount for line in again.lines} == {
        line.number: line.charged for line in lines
    }, "a quote does not show the tax charged"
    _sums(again.total, again.lines)


TAX = [
    Case("capability", "tax: lines sum, committed is what was quoted", _tax_lines_sum),
    Case("capability", "tax: a refund is the negative", _tax_refund_is_the_negative),
    Case("capability", "tax: found by code, voided once", _tax_is_found_and_voided),
    Case("capability", "tax: recorded as charged, where it says so", _tax_is_recorded_as_charged),
]


async def _a_reversal_nets_to_zero(bench: Bench) -> None:
    journal = samples.journal("zero")
    posted = await bench.connector.post(journal, Key.of("journal", journal.number))
    assert posted.debit == posted.credit == 1250
    found = await bench.connector.find(journal.number)
    assert found is not None, "what was posted is not found by its number"
    assert found.id == posted.id
    reversal = ledger.JournalReversal(number="REV-zero", of=journal.number, on=samples.DAY)
    back = await bench.connector.reverse(reversal, Key.of("reversal", "zero"))
    assert (back.debit, back.credit) == (posted.credit, posted.debit)
    assert back.reverses in (journal.number, posted.id)


LEDGER = [Case("capability", "ledger: found by number, a reversal nets to zero", _a_reversal_nets_to_zero)]
