"""Sales tax through Avalara's own SDK, which blocks: each call runs in a thread, its requests on our way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote

from connectors.avalara import transactions
from connectors.avalara.config import AvalaraConfig
from connectors.sdk.auth import Basic
from connectors.sdk.bridges.avatax import avatax_client
from connectors.sdk.bridges.threads import in_thread
from connectors.sdk.capabilities.tax import (
    TaxDocument,
    TaxEngine,
    TaxOrder,
    TaxQuote,
    TaxRefund,
    TaxStatus,
    TaxVoid,
)
from connectors.sdk.connector import Connector
from connectors.sdk.error_table import on
from connectors.sdk.errors import Broken, ConnectorError, Rejected, Unauthorized, Unknown
from connectors.sdk.http import Http
from connectors.sdk.idempotency import by_find, is_writing, native
from connectors.sdk.key import Key
from connectors.sdk.ports import Rate
from connectors.sdk.values import Health

T = TypeVar("T")

_WITH_LINES = {"$include": "Lines,Details"}
_NO_DOCUMENT = 404
# A refund whose answer was lost may still be worked on there.
_WORKED_ON_FOR = timedelta(minutes=2)
_NOT_FOUND = "EntityNotFoundError"


class Avalara(Connector[AvalaraConfig], TaxEngine):
    """One company in AvaTax. Documents are recorded and committed at once, under their own code."""

    name = "avalara"
    title = "Avalara AvaTax"
    records_charged = True
    http = Http(
        auth=Basic("account", "license_key"),
        rate=Rate(50, per=1),
        errors=[
            on(401, Unauthorized, code="error.code", message="error.message"),
            on(
                {400, 403, 404, 409, 422},
                Rejected,
                code="error.code",
                message="error.details[0].description || error.message",
                fields="error.details[].{field: refersTo, message: message}",
            ),
            on(200, Unknown, when="error.code", code="error.code", message="error.message"),
        ],
    )

    @classmethod
    def sandbox_config(cls, url: str) -> dict[str, Any]:
        """The configuration for a stand-in at `url`."""
        return {**super().sandbox_config(url), "account": "1100000000"}

    async def quote(self, order: TaxOrder) -> TaxQuote:
        """An estimate, which AvaTax records nowhere."""
        model = transactions.transaction(order, self.config.company, transactions.ESTIMATE)
        answer = await self._ask(lambda sdk: sdk.create_transaction(model, _WITH_LINES))
        return _read(transactions.quote, answer)

    @native()
    async def commit(self, order: TaxOrder, key: Key) -> TaxDocument:
        """Record and commit under the document's code. The code again is the same document."""
        model = {
            "createTransactionModel": transactions.transaction(
                order, self.config.company, transactions.INVOICE
            )
        }
        answer = await self._ask(lambda sdk: sdk.create_or_adjust_transaction(model, _WITH_LINES))
        return _read(transactions.document, answer)

    @by_find("refunded", _WORKED_ON_FOR)
    async def refund(self, order: TaxRefund, key: Key) -> TaxDocument:
        """Record the refund as a document of its own, with negative tax."""
        model = transactions.refund(order)
        answer = await self._ask(
            lambda sdk: sdk.refund_transaction(*self._place(order.of), model, _WITH_LINES)
        )
        return _read(transactions.document, answer)

    async def refunded(self, order: TaxRefund, key: Key) -> TaxDocument | None:
        """The refund as it was recorded."""
        return await self.find(order.code)

    @native()
    async def void(self, order: TaxVoid, key: Key) -> TaxDocument:
        """Void the document. One that is void already is answered as it is."""
        model = {"code": "DocVoided"}
        try:
            answer = await self._ask(lambda sdk: sdk.void_transaction(*self._place(order.code), model))
        except Rejected:
            found = await self.find(order.code)
            if found is not None and found.status is TaxStatus.VOIDED:
                return _bare(found)
            raise
        return _bare(_read(transactions.document, answer))

    async def find(self, code: str) -> TaxDocument | None:
        """The document with our code."""
        answer = await self._ask(
            lambda sdk: sdk.get_transaction_by_code(*self._place(code), _WITH_LINES), missing=True
        )
        return None if answer is None else _read(transactions.document, answer)

    async def health(self) -> Health:
        """Ping, which answers whether the credentials are taken."""
        try:
            answer = await self._ask(lambda sdk: sdk.ping())
        except ConnectorError as error:
            return Health(ok=False, detail=error.message)
        if not answer or not answer.get("authenticated"):
            return Health(ok=False, detail="AvaTax answers, and does not take the credentials")
        return Health(ok=True, detail="AvaTax takes the credentials")

    async def aclose(self) -> None:
        """Close connections."""
        await self.http.aclose()

    def _place(self, code: str) -> tuple[str, str]:
        """Company and document as parts of a path, which the SDK does not escape."""
        return quote(self.config.company, safe=""), quote(code, safe="")

    @cached_property
    def _sdk(self) -> Any:
        return avatax_client(self.http, "Masthead", "1.0", passing={_NO_DOCUMENT})

    async def _ask(self, call: Callable[[Any], Any], *, missing: bool = False) -> Any:
        """The body of an answer. With `missing` a 404 is None; without, it is Rejected."""
        answer = await in_thread(self, lambda: call(self._sdk))
        if answer.status_code != _NO_DOCUMENT:
            return answer.json()
        # A proxy's page or a cut answer must not be taken for "there is none": that would record a document twice.
        if _code(answer) != _NOT_FOUND:
            raise Broken(f"{self.context.connection}: AvaTax answered 404 without saying what is not found")
        if missing:
            return None
        raise Rejected(
            f"{self.context.connection}: AvaTax knows no such document", code=_NOT_FOUND, status=_NO_DOCUMENT
        )


def _code(answer: Any) -> str | None:
    """AvaTax's code in an error; None for what is none of its errors."""
    try:
        code = answer.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(code)


def _bare(document: TaxDocument) -> TaxDocument:
    """Without its lines, which not every answer about a void has."""
    return document.model_copy(update={"lines": ()})


def _read(reader: Callable[[Mapping[str, Any]], T], answer: Any) -> T:
    """What an answer says. Raises Unknown on a write, Broken on a read, when it is not what AvaTax documents."""
    try:
        return reader(answer)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as problem:
        name = type(problem).__name__
    kind = Unknown if is_writing() else Broken
    raise kind(f"AvaTax gave an answer without its usual fields ({name})")
