"""AvaTax REST v2 as a stand-in."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from sandbox.avatax.documents import Document, Documents
from sandbox.avatax.errors import BY_KIND, error_answer, error_json, not_found, refused
from sandbox.avatax.faults import NO_CORRELATION_ID, AvaTaxFault
from sandbox.avatax.lists import page_of
from sandbox.avatax.model import read_place, read_sale
from sandbox.avatax.refunds import refund_sale
from sandbox.avatax.rendering import document_json, included
from sandbox.calls import Answer, Call, json_answer
from sandbox.faults import Fault
from sandbox.routes import route
from sandbox.stand_in import StandIn

#: As licence key: whatever comes.
ANY = "*"
_PING = "/api/v2/utilities/ping"
_DOCUMENT = "/api/v2/companies/{company}/transactions/{code}"
_VOIDS = ("Unspecified", "DocVoided", "DocDeleted")


class AvaTaxStandIn(StandIn):
    """One AvaTax account with one company: `with AvaTaxStandIn() as s:` and s.url as the SDK's environment.

    Effects "tax_document", keyed "CODE:recorded", "CODE:committed", "CODE:adjusted", "CODE:voided" and "CODE:refunded"
    (of the invoice that was refunded). A repeated createoradjust with the same content makes a version, but no effect.
    """

    system: ClassVar[str] = "avatax"
    title: ClassVar[str] = "AvaTax"
    fault_type: ClassVar[type[Fault]] = AvaTaxFault
    # Recorded and committed; a refund is a document of its own that also marks the one refunded.
    effects_of_one_write: ClassVar[Mapping[str, int]] = {"tax.commit": 2, "tax.refund": 3}

    def __init__(
        self, *, account: str = "1100000000", licence_key: str = "sandbox-licence", company: str = "DEFAULT"
    ) -> None:
        self.account = account
        self.company = company
        self._credentials = f"{account}:{licence_key}"
        self._any_key = licence_key == ANY
        self.documents: Documents
        super().__init__()

    def reset(self) -> None:
        """No documents."""
        super().reset()
        self.documents = Documents(self.clock.now, self._happened)

    def _happened(self, document: Document, what: str) -> None:
        total = str(sum(line.tax for line in document.lines))
        key = f"{document.code}:{what}"
        self.effect("tax_document", key, type=document.sale.kind, status=document.status, tax=total)

    # ---- how AvaTax answers

    def authorize(self, call: Call) -> Answer | None:
        """Basic with account and licence key. Ping answers without."""
        if call.path == _PING or self._known(call):
            return None
        if "authorization" not in call.headers:
            return error_answer("AuthenticationIncomplete", "Authentication Incomplete.", 401)
        return error_answer("AuthenticationException", "The user or account could not be authenticated.", 401)

    def _known(self, call: Call) -> bool:
        scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        if scheme.lower() != "basic":
            return False
        return given == self._credentials or (self._any_key and given.startswith(f"{self.account}:"))

    def error_body(self, status: int, kind: str) -> Any:
        """AvaTax's error form."""
        code = BY_KIND.get(kind, "UnhandledException")
        return error_json(code, f"{code} (HTTP {status}).", fault="Server" if status >= 500 else "Client")

    def headers(self, call: Call) -> Mapping[str, str]:
        """AvaTax's own, with every answer."""
        return {"x-correlation-id": str(uuid.uuid4()), "api-supported-versions": "2.0"}

    def own_fault(self, fault: Fault, answer: Answer) -> tuple[Answer | None, bool]:
        """Leave out the correlation id."""
        return answer, fault.fault != NO_CORRELATION_ID

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Documents, for the page."""
        shown = (
            "code",
            "type",
            "status",
            "version",
            "locked",
            "date",
            "totalAmount",
            "totalTax",
            "currencyCode",
        )
        rows = [document_json(document, frozenset()) for document in self.documents.all()]
        return {"Documents": [{name: row[name] for name in shown} for row in rows]}

    # ---- account

    @route("GET", _PING)
    def _ping(self, call: Call) -> Answer:
        known = self._known(call)
        body: dict[str, Any] = {"version": "26.10.0", "authenticated": known, "authenticationType": "None"}
        if known:
            body |= {
                "authenticationType": "AccountIdLicenseKey",
                "authenticatedUserName": self.account,
                "authenticatedAccountId": int(self.account) if self.account.isdigit() else 0,
            }
        return json_answer(body)

    @route("GET", "/api/v2/companies")
    def _companies(self, call: Call) -> Answer:
        company = {
            "id": 12345,
            "companyCode": self.company,
            "name": self.company,
            "isDefault": True,
            "isActive": True,
        }
        return json_answer(page_of([company], call))

    @route("GET", "/api/v2/addresses/resolve")
    def _resolve_query(self, call: Call) -> Answer:
        return self._resolved(dict(call.query))

    @route("POST", "/api/v2/addresses/resolve")
    def _resolve(self, call: Call) -> Answer:
        return self._resolved(_model(call))

    def _resolved(self, given: Mapping[str, Any]) -> Answer:
        """An address counts as found when it has a street or a postal code in a country and region that are known."""
        if given.get("textCase") not in (None, "Upper", "Mixed"):
            raise refused("InvalidAddressTextCase", "textCase is Upper or Mixed.", target="textCase")
        names = ("line1", "line2", "line3", "city", "region", "postalCode", "country")
        asked = {name: str(given[name]) for name in names if given.get(name)}
        if not asked.get("line1") and not asked.get("postalCode"):
            message = {
                "summary": "The address is incomplete.",
                "details": "Give a street or a postal code.",
                "refersTo": "Address",
                "severity": "Error",
                "source": "Avalara.AvaTax.Common",
            }
            body = {"address": asked, "resolutionQuality": "NotCoded", "messages": [message]}
            return json_answer(body)
        place = read_place(asked)
        found = {name: value.upper() for name, value in asked.items()}
        found |= {
            "country": place.country,
            "region": place.region,
            "addressType": "StreetOrResidentialAddress",
        }
        return json_answer(
            {
                "address": asked,
                "validatedAddresses": [found],
                "resolutionQuality": "Intersection",
                "messages": [],
            }
        )

    # ---- making documents

    @route("POST", "/api/v2/transactions/create")
    def _create(self, call: Call) -> Answer:
        sale = read_sale(_model(call), self.company)
        self._our_company(sale.company)
        return self._shown(self.documents.create(sale), call, 201)

    @route("POST", "/api/v2/transactions/createoradjust")
    def _create_or_adjust(self, call: Call) -> Answer:
        model = _model(call)
        sale = read_sale(model.get("createTransactionModel"), self.company)
        self._our_company(sale.company)
        reason = str(model.get("adjustmentReason") or "NotAdjusted")
        made = self.documents.create_or_adjust(sale, reason, str(model.get("adjustmentDescription") or ""))
        return self._shown(made, call, 201)

    @route("POST", _DOCUMENT + "/adjust")
    def _adjust(self, call: Call) -> Answer:
        model = _model(call)
        if not model.get("adjustmentReason"):
            raise refused(
                "ValueRequiredError", "Field adjustmentReason is required.", target="adjustmentReason"
            )
        before = self._named(call)
        new = model.get("newTransaction")
        sale = read_sale(new, self.company)
        made = self.documents.adjust(
            before, sale, model["adjustmentReason"], model.get("adjustmentDescription") or ""
        )
        return self._shown(made, call)

    @route("POST", _DOCUMENT + "/refund")
    def _refund(self, call: Call) -> Answer:
        original = self._named(call, default="SalesInvoice")
        made = self.documents.create(refund_sale(original, _model(call)), refund_of=original.code)
        self.documents.refunded(original)
        return self._shown(made, call, 201)

    # ---- changing them

    @route("POST", _DOCUMENT + "/commit")
    def _commit(self, call: Call) -> Answer:
        if _model(call).get("commit") is not True:
            raise refused("ValueRequiredError", "Field commit must be true.", target="commit")
        return self._shown(self.documents.commit(self._named(call)), call)

    @route("POST", _DOCUMENT + "/void")
    def _void(self, call: Call) -> Answer:
        how = _model(call).get("code")
        if how not in _VOIDS:
            raise refused(
                "InvalidEnumValue", f"code is one of {', '.join(_VOIDS)}; not {how!r}.", target="code"
            )
        return self._shown(self.documents.void(self._named(call), how), call)

    @route("POST", _DOCUMENT + "/changecode")
    def _rename(self, call: Call) -> Answer:
        code = _model(call).get("newCode")
        if not code:
            raise refused("ValueRequiredError", "Field newCode is required.", target="newCode")
        return self._shown(self.documents.rename(self._named(call), str(code)), call)

    @route("POST", _DOCUMENT + "/lock")
    def _lock(self, call: Call) -> Answer:
        """AvaTax has this in its test environment only: it does what a filed return does."""
        return self._shown(self.documents.lock(self._named(call), _model(call).get("isLocked") is True), call)

    # ---- finding them

    @route("GET", _DOCUMENT)
    def _get(self, call: Call) -> Answer:
        return self._shown(self._named(call), call)

    @route("GET", "/api/v2/transactions/{id}")
    def _get_by_id(self, call: Call) -> Answer:
        number = call.params["id"]
        found = self.documents.by_id(int(number)) if number.isdigit() else None
        if found is None:
            raise not_found(f"Transaction {number}")
        return self._shown(found, call)

    @route("GET", "/api/v2/companies/{company}/transactions")
    def _list(self, call: Call) -> Answer:
        company = call.params["company"]
        self._our_company(company, 404)
        parts = included(call.arg("$include"))
        return json_answer(page_of([document_json(one, parts) for one in self.documents.all(company)], call))

    def _named(self, call: Call, default: str | None = None) -> Document:
        company = call.params["company"]
        self._our_company(company, 404)
        return self.documents.get(company, call.params["code"], call.arg("documentType") or default)

    def _our_company(self, company: str, status: int = 400) -> None:
        if company == self.company:
            return
        if status == 404:
            raise not_found(f"Company {company}")
        raise refused("CompanyInvalidException", f"There is no company {company}.", status, "companyCode")

    def _shown(self, document: Document, call: Call, status: int = 200) -> Answer:
        return json_answer(document_json(document, included(call.arg("$include"))), status)


def _model(call: Call) -> dict[str, Any]:
    model = call.json()
    if not isinstance(model, dict):
        raise refused("ModelRequiredException", f"{call.path} needs a JSON object.")
    return model


def with_any_key() -> AvaTaxStandIn:
    """One that takes any licence key: beside a connector under trial, whose secret is not known here."""
    return AvaTaxStandIn(licence_key=ANY)
