"""The reference stand-in: every capability at `/<capability>/<method>`, in plain JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ClassVar

from sandbox.calls import Answer, Call, html_answer, json_answer
from sandbox.faults import Fault
from sandbox.idempotency import IdempotencyKeys, KeyInUse, KeyReused
from sandbox.reference.fulfilment import DRM, MAIL, SHIPPING
from sandbox.reference.ledger import LEDGER
from sandbox.reference.memory import Memory, Method, Row, refuse
from sandbox.reference.payment import PAYMENT, PAYMENT_METHODS, approve
from sandbox.reference.records import CAMPAIGNS, CMS, CRM, PROVISIONING, SUPPORT, change
from sandbox.reference.tax import TAX
from sandbox.routes import route
from sandbox.stand_in import StandIn

KEY_TTL = timedelta(hours=24)
PAGE = 100

CAPABILITIES: dict[str, dict[str, Method]] = {
    "payment": PAYMENT,
    "payment_methods": PAYMENT_METHODS,
    "tax": TAX,
    "mail": MAIL,
    "crm": CRM,
    "ledger": LEDGER,
    "cms": CMS,
    "campaigns": CAMPAIGNS,
    "shipping": SHIPPING,
    "drm": DRM,
    "provisioning": PROVISIONING,
    "support": SUPPORT,
}
#: Faults of other transports → what comes nearest over HTTP.
_ALSO = {"greylist": "unavailable", "mailbox_full": "unavailable"}


class ReferenceStandIn(StandIn):
    """`POST /<capability>/<method>`: the JSON of the method's argument in, the JSON of its answer out.

    An argument that is a plain text is an object with its name: `{"reference": "..."}`; a batch is a JSON list; an
    answer of None is `null`. `X-Key` (or a bearer token) is needed, writes need `Idempotency-Key`, kept for 24 h.
    `GET /crm/changes?kind=&cursor=` answers `{"items", "next"}`; `GET /health` answers `{"ok": true}`.
    """

    system: ClassVar[str] = "reference"
    title: ClassVar[str] = "Reference"
    own_pages: ClassVar[tuple[str, ...]] = ("/payment/approve/",)

    def reset(self) -> None:
        """Nothing kept."""
        super().reset()
        self.memory = Memory(self)
        self.keys = IdempotencyKeys(self.clock, KEY_TTL)

    def inject(self, fault: str, times: int | None = 1, **options: Any) -> Fault:
        """As any stand-in; mail faults are taken too, as what comes nearest over HTTP."""
        return super().inject(_ALSO.get(fault, fault), times, **options)

    def authorize(self, call: Call) -> Answer | None:
        """Any key is good, none is not."""
        bearer = call.headers.get("authorization", "").removeprefix("Bearer").strip()
        known = call.headers.get("x-key") or bearer or call.path.startswith(self.own_pages)
        return None if known else self.error(401, "unauthorized")

    def error_body(self, status: int, kind: str) -> Any:
        """`{"error": {"code", "message", "fields"}}`."""
        code = "in_progress" if kind == "conflict" else kind
        return {"error": {"code": code, "message": f"{code.replace('_', ' ')} (HTTP {status})", "fields": {}}}

    async def around(self, call: Call, apply: Callable[[], Awaitable[Answer]]) -> Answer:
        """A write needs a key; under a known one the first answer is given again, refusals too."""
        method = CAPABILITIES.get(call.params.get("capability", ""), {}).get(call.params.get("method", ""))
        if method is None or not method.write:
            await call.processing()
            return await apply()
        key = call.headers.get("idempotency-key")
        if not key:
            raise refuse(400, "missing_key", "a write needs the header Idempotency-Key")
        try:
            answer, replayed = await self.keys.answer(key, call, apply)
        except KeyReused:
            raise refuse(409, "key_reused", "the key was used for another request") from None
        except KeyInUse:
            return self.error(409, "conflict")
        return (
            Answer(answer.status, answer.body, headers={"Idempotent-Replayed": "true"})
            if replayed
            else answer
        )

    @route("GET", "/health")
    def health(self, call: Call) -> Answer:
        """That it is here and takes the key."""
        return json_answer({"ok": True})

    @route("POST", "/{capability}/{method}")
    def call_method(self, call: Call) -> Answer:
        """One method of a capability."""
        capability, name = call.params["capability"], call.params["method"]
        method = CAPABILITIES.get(capability, {}).get(name)
        if method is None:
            raise refuse(404, "not_found", f"there is no method {capability}.{name}")
        self.memory.base_url = call.base_url
        self.memory.key = call.headers.get("idempotency-key")
        return json_answer(method.apply(self.memory, call.json()))

    @route("GET", "/crm/changes")
    def changes(self, call: Call) -> Answer:
        """Records of a kind by the order of their last change; `next` is null at the end."""
        cursor = call.arg("cursor") or "0"
        if not cursor.isdigit():
            raise refuse(422, "invalid", "the cursor is none of ours", cursor="is unknown")
        kind = call.arg("kind")
        rows = self.memory.rows.get("record", {}).values()
        later = [row for row in rows if row["changed"] > int(cursor) and kind in (None, row.get("kind"))]
        found = sorted(later, key=lambda row: int(row["changed"]))
        page = found[:PAGE]
        more = str(page[-1]["changed"]) if len(found) > PAGE else None
        return json_answer({"items": [change(row) for row in page], "next": more})

    @route("GET", "/payment/approve/{id}")
    def approve(self, call: Call) -> Answer:
        """Where a customer is sent to confirm: opening it is enough."""
        id = call.params["id"]
        row = self.memory.get("setup" if id.startswith("setup-") else "payment", id)
        self.memory.key = None
        if row["status"] == "requires_action":
            self._confirmed(row)
        return html_answer("<!doctype html><title>Confirmed</title><p>Thank you, it is confirmed.</p>")

    def _confirmed(self, row: Row) -> None:
        if "captured" in row:
            approve(self.memory, row)
        else:
            self.memory.touch(row, status="succeeded", next_action_url=None)
            self.memory.effect("setup", row["reference"], row)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Each collection that holds something, without the requests' personal parts."""
        shown = (
            "id",
            "reference",
            "code",
            "number",
            "key",
            "order",
            "external_id",
            "status",
            "amount",
            "total",
        )
        return {
            name.capitalize(): [
                {field: row[field] for field in shown if field in row} for row in rows.values()
            ]
            for name, rows in self.memory.rows.items()
        }
