"""Captures, cancels, refunds and chargebacks. A call is only taken (`received`); a notification tells how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.adyen.checkout import Checkout
from sandbox.adyen.errors import invalid
from sandbox.adyen.state import Paid, amount_of, reference_of, shown
from sandbox.calls import Answer, Call, json_answer
from sandbox.routes import route

_TOO_MUCH = "Insufficient balance on payment"


class Modifications(Checkout):
    """`/payments/<pspReference>/captures`, `/cancels`, `/refunds`, `/reversals`, and `/cancels` by our reference."""

    def reset(self) -> None:
        """Nothing was asked for."""
        super().reset()
        self.modifications: list[dict[str, Any]] = []
        #: Dispute → the payment and the amount.
        self.disputes: dict[str, tuple[Paid, int, str]] = {}

    @route("POST", "/payments/{psp}/captures")
    def create_capture(self, call: Call) -> Answer:
        """Take what is held; the rest is released."""
        body, paid = self._asked(call)
        amount, psp = self._amount(body, paid), self.new_reference()
        wrong = ""
        if paid.status != "authorised" or not paid.manual or paid.captured:
            wrong = "Transaction has no authorised amount that is left"
        elif amount > paid.amount:
            wrong = _TOO_MUCH
        if not wrong:
            paid.captured, paid.status = amount, "captured"
            self.effect("charge", paid.reference, also=self._keys(call, paid, psp), amount=amount)
            if self.cards[paid.token].capture_fails:
                self.soon(lambda: self.capture_failed(paid, psp))
        return self._taken("CAPTURE", body, paid, psp, wrong, amount)

    @route("POST", "/payments/{psp}/cancels")
    def create_cancel(self, call: Call) -> Answer:
        """Release what is held."""
        body, paid = self._asked(call)
        psp = self.new_reference()
        return self._taken("CANCELLATION", body, paid, psp, self._canceled(call, paid, psp))

    @route("POST", "/payments/{psp}/refunds")
    def create_refund(self, call: Call) -> Answer:
        """Give back a part or all of what was captured."""
        body, paid = self._asked(call)
        amount, psp = self._amount(body, paid), self.new_reference()
        reference = reference_of(body, required=False) or paid.reference
        wrong = self._refunded(call, paid, psp, amount, reference)
        return self._taken("REFUND", body, paid, psp, wrong, amount)

    @route("POST", "/payments/{psp}/reversals")
    def create_reversal(self, call: Call) -> Answer:
        """Cancel when nothing was captured, else refund all."""
        body, paid = self._asked(call)
        psp = self.new_reference()
        reference = reference_of(body, required=False) or paid.reference
        if paid.captured:
            wrong = self._refunded(call, paid, psp, paid.captured - paid.refunded, reference)
            more = {"modification.action": "refund"}
        else:
            wrong, more = self._canceled(call, paid, psp), {"modification.action": "cancel"}
        return self._taken("CANCEL_OR_REFUND", body, paid, psp, wrong, more=more)

    @route("POST", "/cancels")
    def create_technical_cancel(self, call: Call) -> Answer:
        """Cancel by our reference a payment whose pspReference was lost."""
        body = self.mine(call)
        named = body.get("paymentReference")
        if not isinstance(named, str) or not named:
            raise invalid("130", "Required field 'paymentReference' is not provided.")
        psp = self.new_reference()
        found = next((each for each in self.payments.values() if each.reference == named), None)
        if found is not None:
            wrong = self._canceled(call, found, psp)
            self.notify("TECHNICAL_CANCEL", found, psp=psp, success=not wrong, reason=wrong)
        answer = {"merchantAccount": body["merchantAccount"], "paymentReference": named, "pspReference": psp}
        return json_answer({**answer, "status": "received"}, 201)

    def dispute(self, payment: str, amount: int | None = None) -> str:
        """The cardholder disputes a captured payment: first announced, then taken back. The dispute's reference;
        LookupError, ValueError where that cannot be."""
        paid = self.payments.get(payment)
        if paid is None or not paid.captured:
            raise LookupError(f"no captured payment is called {payment!r}")
        taken = paid.captured if amount is None else amount
        if not 0 < taken <= paid.captured:
            raise ValueError("a captured payment is disputed for at most its amount")
        psp = self.new_reference()
        self.disputes[psp] = (paid, taken, "open")
        self.effect("dispute", paid.reference, also=(psp, paid.psp), amount=taken)
        for event in ("NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK"):
            self.notify(event, paid, psp=psp, reason="Fraud", amount=taken)
        return psp

    def close_dispute(self, dispute: str, status: str) -> None:
        """End a dispute as "won" (the money comes back) or "lost"."""
        ends = {"won": "CHARGEBACK_REVERSED", "lost": "SECOND_CHARGEBACK"}
        if status not in ends:
            raise ValueError('a dispute ends as "won" or "lost"')
        paid, amount, _ = self.disputes[dispute]
        self.disputes[dispute] = (paid, amount, status)
        self.notify(ends[status], paid, psp=dispute, amount=amount)

    def capture_failed(self, paid: Paid, psp: str) -> None:
        """The scheme sends a capture back."""
        amount, paid.captured, paid.status = paid.captured, 0, "capture failed"
        self.effect("capture_failed", paid.reference, also=(psp, paid.psp), amount=amount)
        self.notify("CAPTURE_FAILED", paid, psp=psp, reason="Capture Failed", amount=amount)

    def _refund_failed(self, paid: Paid, psp: str, amount: int, reference: str) -> None:
        paid.refunded -= amount
        self.effect("refund_failed", reference, also=(psp, paid.psp), amount=amount)
        self.notify(
            "REFUND_FAILED", paid, psp=psp, reason="Refund Failed", amount=amount, reference=reference
        )

    def _canceled(self, call: Call, paid: Paid, psp: str) -> str:
        """Cancel; why not, where it cannot be."""
        if paid.status == "cancelled":
            return "Transaction was cancelled already"
        if paid.status != "authorised" or paid.captured:
            return "Transaction cannot be cancelled"
        paid.status = "cancelled"
        self.effect("void", paid.reference, also=self._keys(call, paid, psp), amount=paid.amount)
        return ""

    def _refunded(self, call: Call, paid: Paid, psp: str, amount: int, reference: str) -> str:
        """Refund; why not, where it cannot be."""
        if not 0 < amount <= paid.captured - paid.refunded:
            return _TOO_MUCH
        paid.refunded += amount
        self.effect("refund", reference, also=self._keys(call, paid, psp), amount=amount)
        if self.cards[paid.token].refund_fails:
            self.soon(lambda: self._refund_failed(paid, psp, amount, reference))
        return ""

    def _asked(self, call: Call) -> tuple[dict[str, Any], Paid]:
        body = self.mine(call)
        paid = self.payments.get(call.params["psp"])
        if paid is None:
            raise invalid("167", "Original pspReference required for this operation")
        return body, paid

    def _amount(self, body: Mapping[str, Any], paid: Paid) -> int:
        amount, currency = amount_of(body)
        if currency != paid.currency:
            raise invalid("138", "Unsupported currency specified")
        return amount

    def _keys(self, call: Call, paid: Paid, psp: str) -> tuple[str, ...]:
        given = (psp, paid.psp, paid.key, call.headers.get("idempotency-key"))
        return tuple(key for key in given if key)

    def _taken(
        self,
        event: str,
        body: Mapping[str, Any],
        paid: Paid,
        psp: str,
        wrong: str,
        amount: int | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, which says nothing, and the notification, which says all."""
        reference = reference_of(body, required=False)
        row = {
            "pspReference": psp,
            "event": event,
            "payment": paid.psp,
            "amount": amount,
            "outcome": wrong or "done",
        }
        self.modifications.append(row)
        told = {"reference": reference} if reference else {}
        size = {} if amount is None else {"amount": amount}
        self.notify(event, paid, psp=psp, success=not wrong, reason=wrong, **told, **size, **(more or {}))
        answer = {
            "merchantAccount": body["merchantAccount"],
            "paymentPspReference": paid.psp,
            "pspReference": psp,
            "status": "received",
            **told,
        }
        if amount is not None:
            answer["amount"] = shown(amount, paid.currency)
        return json_answer(answer, 201)
