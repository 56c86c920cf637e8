"""Careless connectors: each does one thing as a hasty author might, and `CARELESS` says which cases must tell."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from masthead.sdk import (
    ApiKey,
    Broken,
    ChargeOrder,
    Config,
    Connector,
    ConnectorError,
    CrmChange,
    CrmKind,
    CrmRecord,
    Field,
    Health,
    Http,
    Key,
    Licence,
    LicenceOrder,
    Page,
    Payment,
    PaymentStatus,
    RecordOutcome,
    RecordStatus,
    Refund,
    RefundOrder,
    RefundStatus,
    Rejected,
    RetryAfter,
    TaxDocument,
    TaxOrder,
    TaxQuote,
    Transient,
    Unauthorized,
    Unknown,
    by_find,
    native,
    never,
)
from tests.connectors.careful import DAY, Book, Licences, Taxes, Till

AUTH = ApiKey("api_key", header="X-Key")
_log = logging.getLogger("careless")


@dataclass(frozen=True, slots=True)
class Careless:
    """A connector and the careful one that it is made of, with the case that must be red for it and green for that."""

    connector: type[Connector[Any]]
    careful: type[Connector[Any]]
    case: str


CARELESS: list[Careless] = []


def red(*cases: str, careful: type[Connector[Any]] | None = None) -> Any:
    """Note that a class must be red in these cases, where `careful` is green: one of the four where none is named."""

    def note(made: type[Connector[Any]]) -> type[Connector[Any]]:
        plain = careful or next(each for each in (Till, Taxes, Book, Licences) if issubclass(made, each))
        CARELESS.extend(Careless(made, plain, case) for case in cases)
        return made

    return note


# ---- a second effect


@red("laws: payment.charge: same key twice", "faults: payment.charge × drop_after")
class NewKeyEachTry(Till):
    @native(DAY)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        return await self.taken(order, Key(str(uuid.uuid4())))


@red("laws: payment.charge: keys that differ at their end")
class CutsKeys(Till):
    @native(DAY)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        return await self.taken(order, Key(key.value[:60]))


@red("laws: payment.charge: same key twice")
class SendsTwice(Till):
    @native(DAY)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        await self.taken(order, Key.of("first", key.value))
        return await self.taken(order, key)


@red("faults: payment.charge × drop_after", "faults: payment.charge × drop_before")
class TriesAgainByItself(Till):
    @never()
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        try:
            return await self.taken(order, key)
        except Unknown:
            return await self.taken(order, Key.of("again", key.value))


@red("faults: payment.charge × its later requests")
class DoesItAgainForAnotherStep(Till):
    @native(DAY)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        made = await self.taken(order, key)
        try:
            await self.http.get("/health")
        except ConnectorError:
            return await self.taken(order, Key.of("again", key.value))
        return made


@red("faults: payment.charge × its later requests")
class RefusedAfterItWasDone(Till):
    @native(DAY)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        made = await self.taken(order, key)
        try:
            await self.http.post("/payment/find", json={"reference": order.reference})
        except ConnectorError:
            raise Rejected("it did not work") from None
        return made


@red("faults: payment.charge × drop_after", "faults: payment.charge × html")
class CallsUnknownTransient(Till):
    @native()
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        try:
            return await self.taken(order, key)
        except Unknown as error:
            raise Transient(error.message) from None


@red("faults: payment.charge × server_error_after", "faults: payment.charge × stall_after")
class CallsUnknownRejected(Till):
    @native(DAY)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        try:
            return await self.taken(order, key)
        except Unknown as error:
            raise Rejected(error.message) from None


@red("faults: payment.charge × retry after expiry")
class BelievesThatKeysLastForEver(Till):
    @native()
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        return await self.taken(order, key)


@red("faults: payment.charge × retry after expiry")
class BelievesThatKeysLastAYear(Till):
    @native(timedelta(days=365))
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        return await self.taken(order, key)


class _LooksUp(Till):
    """Without the vendor's keys: the answer to a lost one is looked up."""

    @by_find("charged")
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        return await self.taken(order, Key(str(uuid.uuid4())))

    async def charged(self, order: ChargeOrder, key: Key) -> Payment | None:
        return await self.find(order.reference)


@red("faults: payment.charge × drop_after", "faults: payment.charge × retry after expiry")
class LooksUpSomethingElse(_LooksUp):
    async def charged(self, order: ChargeOrder, key: Key) -> Payment | None:
        return await self.find(key.value)


@red("laws: payment.find: a gateway's 404 is not 'there is none'", "faults: payment.find × bad_gateway")
class FindsNothingInAnError(Till):
    async def find(self, reference: str, since: datetime | None = None) -> Payment | None:
        try:
            return await super().find(reference, since)
        except ConnectorError:
            return None


@red("laws: payment.find: a gateway's 404 is not 'there is none'")
class BelievesEvery404(Till):
    async def find(self, reference: str, since: datetime | None = None) -> Payment | None:
        reply = await self.http.post("/payment/find", json={"reference": reference}, passing={404})
        return None if reply.status == 404 or reply.json is None else Payment.model_validate(reply.json)


# ---- an outcome that is not known yet


class _AnsweredLater(Till):
    """A refund is only taken: its answer says that it is pending."""

    answers_later = frozenset({"refund"})

    @native(DAY)
    async def refund(self, order: RefundOrder, key: Key) -> Refund:
        made = await super().refund(order, key)
        return made.model_copy(update={"status": RefundStatus.PENDING})


@red("capability: payment: refunds ≤ captured", careful=_AnsweredLater)
class KnowsTheEndAlready(_AnsweredLater):
    @native(DAY)
    async def refund(self, order: RefundOrder, key: Key) -> Refund:
        made = await super().refund(order, key)
        return made.model_copy(update={"status": RefundStatus.SUCCEEDED})


class _CannotBeAsked(Till):
    cannot_answer: ClassVar[Mapping[str, str]] = {"find": "look in its dashboard"}

    async def find(self, reference: str, since: datetime | None = None) -> Payment | None:
        raise Broken("there is no list of payments: look in its dashboard")


@red("laws: payment.find: says that there is nothing to ask", careful=_CannotBeAsked)
class SaysThatThereIsNone(_CannotBeAsked):
    async def find(self, reference: str, since: datetime | None = None) -> Payment | None:
        return None


# ---- a lost effect


@red("faults: payment.charge × drop_before", "faults: payment.charge × html")
class TakesErrorsForSuccess(Till):
    @native(DAY)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        try:
            return await self.taken(order, key)
        except ConnectorError:
            return Payment(
                id="p", reference=order.reference, status=PaymentStatus.SUCCEEDED, amount=1, currency="USD"
            )


@red("capability: payment: a decline is a value")
class RaisesADecline(Till):
    @native(DAY)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        made = await self.taken(order, key)
        if made.status is PaymentStatus.FAILED:
            raise Rejected("declined")
        return made


@red("capability: crm: one bad record fails alone")
class FailsTheBatch(Book):
    @native(DAY)
    async def upsert(self, records: Sequence[CrmRecord], key: Key) -> list[RecordOutcome]:
        outcomes = await self.put(records, key)
        if any(outcome.status is RecordStatus.REJECTED for outcome in outcomes):
            raise Rejected("some records are wrong")
        return outcomes


@red("capability: crm: one bad record fails alone")
class DropsTheBatch(Book):
    @native(DAY)
    async def upsert(self, records: Sequence[CrmRecord], key: Key) -> list[RecordOutcome]:
        bad = [record for record in records if "no_such_field_of_ours" in record.fields]
        if not bad:
            return await self.put(records, key)
        told = {True: RecordStatus.REJECTED, False: RecordStatus.WRITTEN}
        return [RecordOutcome(key=each.key, status=told[each in bad], message="wrong") for each in records]


@red("capability: crm: an outcome for each record")
class SendsTheFirstHundred(Book):
    @native(DAY)
    async def upsert(self, records: Sequence[CrmRecord], key: Key) -> list[RecordOutcome]:
        outcomes = await self.put(records[:100], key)
        return outcomes + [RecordOutcome(key=each.key, status=RecordStatus.WRITTEN) for each in records[100:]]


@red("capability: crm: pages make the whole, from any cursor")
class ReadsOnePage(Book):
    async def changes(self, kind: CrmKind, cursor: str | None) -> Page[CrmChange]:
        return (await self.page(kind, cursor)).model_copy(update={"next": None})


@red("capability: crm: pages make the whole, from any cursor")
class ReadsPagesWithoutEnd(Book):
    async def changes(self, kind: CrmKind, cursor: str | None) -> Page[CrmChange]:
        following = "200" if cursor == "100" else "100"
        return (await self.page(kind, None)).model_copy(update={"next": following})


@red("capability: crm: pages make the whole, from any cursor")
class SkipsTheFirstOfAPage(Book):
    async def changes(self, kind: CrmKind, cursor: str | None) -> Page[CrmChange]:
        page = await self.page(kind, cursor)
        return page.model_copy(update={"items": page.items[1:]}) if cursor else page


# ---- money and time


@red("capability: tax: lines sum, committed is what was quoted")
class AddsACent(Taxes):
    async def quote(self, order: TaxOrder) -> TaxQuote:
        quote = await super().quote(order)
        return quote.model_copy(update={"total": quote.total + 1})


@red("capability: tax: lines sum, committed is what was quoted")
class LosesALine(Taxes):
    async def quote(self, order: TaxOrder) -> TaxQuote:
        quote = await super().quote(order)
        kept = quote.lines[:1]
        return quote.model_copy(update={"lines": kept, "total": sum(line.amount for line in kept)})


@red("capability: tax: lines sum, committed is what was quoted")
class RecordsItsQuotes(Taxes):
    async def quote(self, order: TaxOrder) -> TaxQuote:
        key = Key.of("quote", order.code)
        await self.http.post("/tax/commit", json=order, key=key, into=TaxDocument)
        return await super().quote(order)


@red("capability: drm: ends when it is paid through, revoked once")
class LendsADayMore(Licences):
    @native(DAY)
    async def grant(self, order: LicenceOrder, key: Key) -> Licence:
        return await self.given(order.model_copy(update={"until": order.until + timedelta(days=1)}), key)


@red("faults: payment.charge × rate_limited_seconds", "faults: payment.charge × rate_limited_date")
class ReadsAnotherHeader(Till):
    http: ClassVar[Http] = Http(
        auth=AUTH, key_header="Idempotency-Key", retry_after=RetryAfter(header="X-Wait")
    )


@red("faults: payment.charge × rate_limited_seconds")
class TakesSecondsForMilliseconds(Till):
    http: ClassVar[Http] = Http(
        auth=AUTH, key_header="Idempotency-Key", retry_after=RetryAfter(form="milliseconds")
    )


# ---- health, secrets, persons


@red("laws: health changes nothing")
class ChecksByCharging(Till):
    async def health(self) -> Health:
        order = ChargeOrder(reference="health", amount=1, currency="USD", method="pm_card_visa")
        await self.taken(order, Key("health"))
        return Health(ok=True)


@red("laws: health tells refused credentials")
class IsAlwaysWell(Till):
    async def health(self) -> Health:
        try:
            await self.http.get("/health")
        except ConnectorError:
            return Health(ok=True)
        return Health(ok=True)


@red("laws: health tells refused credentials")
class ShowsTheKeyInItsHealth(Till):
    async def health(self) -> Health:
        found = await super().health()
        return found.model_copy(update={"detail": f"asked with {self.secret('api_key')}"})


@red("laws: payment.charge: nothing leaks")
class ShowsTheKeyWhenRefused(Till):
    @native(DAY)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        try:
            return await self.taken(order, key)
        except Unauthorized:
            raise Unauthorized(f"the key {self.secret('api_key')} is not taken") from None


@red("laws: payment.charge: nothing leaks")
class KeepsTheKeyInItsRepr(Till):
    def __repr__(self) -> str:
        return f"Till({self.secret('api_key')})"


@red("laws: tax.quote: nothing leaks")
class PrintsWhatItSends(Taxes):
    async def quote(self, order: TaxOrder) -> TaxQuote:
        print(order)  # noqa: T201
        return await super().quote(order)


@red("laws: crm.upsert: nothing leaks")
class LogsARecord(Book):
    @native(DAY)
    async def upsert(self, records: Sequence[CrmRecord], key: Key) -> list[RecordOutcome]:
        _log.debug("sending %s", [record.fields for record in records])
        return await self.put(records, key)


class PlainConfig(Config):
    base_url: str = Field(description="The address")
    api_key: str = Field(default="sk_live_1", description="The key")


@red("laws: a secret in plain text is refused")
class TakesThePlainKey(Till):
    Config: ClassVar[type[Config]] = PlainConfig
