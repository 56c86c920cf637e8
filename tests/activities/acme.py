"""A vendor on a real socket, and the connectors that speak to it: one for each way to declare a write.

The vendor keeps keys and counts what it did. Faults are queued by a test, and each is used up by one request.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from connectors.sdk.capabilities.mail import Mail, Mailer, MailReceipt
from connectors.sdk.capabilities.payment import (
    CaptureOrder,
    ChargeOrder,
    Payment,
    PaymentGateway,
    Refund,
    RefundOrder,
    VoidOrder,
)
from connectors.sdk.capabilities.provisioning import (
    ProvisionedUser,
    Provisioner,
    UserDeactivation,
    UserState,
)
from connectors.sdk.capabilities.shipping import (
    AddressCheck,
    Label,
    LabelVoid,
    Parcel,
    Shipper,
    ShippingRate,
    TrackingStatus,
)
from connectors.sdk.config import Config, Secret
from connectors.sdk.connector import Connector
from connectors.sdk.context import Mode
from connectors.sdk.errors import (
    Broken,
    DefinitionError,
    RateLimited,
    Rejected,
    Transient,
    Unauthorized,
    Unknown,
)
from connectors.sdk.idempotency import by_find, is_writing, native, never
from connectors.sdk.key import Key
from connectors.sdk.memory import memory_context
from connectors.sdk.values import Address

SECRET = "sk-canary-5f3a9c"


class Vendor:
    """The state of the other system. effects: what it did, in order. requests: how often each was asked, by path."""

    def __init__(self) -> None:
        self.effects: list[dict[str, Any]] = []
        self.requests: Counter[str] = Counter()
        self.faults: list[str] = []
        self.keys: dict[str, dict[str, Any]] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.hidden = False
        self.lock = threading.Lock()
        self.url = ""

    def count(self, kind: str) -> int:
        """How often it did something of a kind."""
        return sum(effect["kind"] == kind for effect in self.effects)

    def apply(self, kind: str, body: dict[str, Any], key: str | None) -> dict[str, Any]:
        """Do it, or answer what the key had done."""
        with self.lock:
            if key is not None and key in self.keys:
                return self.keys[key]
            effect = {"kind": kind, "id": f"{kind}-{len(self.effects) + 1}", **body}
            self.effects.append(effect)
            if key is not None:
                self.keys[key] = effect
            return effect


class _Handler(BaseHTTPRequestHandler):
    vendor: Vendor

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        self.vendor.requests[f"GET {split.path}"] += 1
        if self._failed(self.vendor.faults.pop(0) if self.vendor.faults else "", {}):
            return
        wanted = parse_qs(split.query)["reference"][0]
        kind = split.path.strip("/")
        found = [e for e in self.vendor.effects if e["kind"] == kind and e.get("reference") == wanted]
        self._answer(200, found[0] if found and not self.vendor.hidden else None)

    def do_POST(self) -> None:
        kind = self.path.strip("/")
        self.vendor.requests[f"POST /{kind}"] += 1
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = self.vendor.faults.pop(0) if self.vendor.faults else ""
        if self._failed(fault, body):
            return
        effect = self.vendor.apply(kind, body, self.headers.get("Idempotency-Key"))
        self.vendor.gate.wait(60)
        if fault == "nul":
            effect = effect | {"method": "pm\0x"}
        if fault == "dropped after":
            self._drop()
        elif fault == "html":
            self._answer(200, None, raw=b"<html>busy</html>")
        else:
            self._answer(200, effect)

    def _failed(self, fault: str, body: dict[str, Any]) -> bool:
        if fault == "dropped":
            self._drop()
        elif fault.startswith("429"):
            self._answer(429, None, after=fault.partition(" ")[2])
        elif fault == "422":
            echo = " ".join(str(value) for value in body.values())
            self._answer(
                422, {"code": "bad_amount", "message": f"no: {echo}", "fields": {"amount": "too small"}}
            )
        elif fault.isdigit():
            self._answer(int(fault), {"code": f"e{fault}", "message": "no"})
        else:
            return False
        return True

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def _answer(self, status: int, body: Any, *, raw: bytes | None = None, after: str = "") -> None:
        content = json.dumps(body).encode() if raw is None else raw
        try:
            self.send_response(status)
            if after:
                self.send_header("Retry-After", after)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            pass  # whoever asked was killed


@contextmanager
def running_vendor() -> Iterator[Vendor]:
    """A vendor on 127.0.0.1 for as long as the block runs."""
    vendor = Vendor()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"vendor": vendor}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    vendor.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield vendor
    finally:
        vendor.gate.set()
        server.shutdown()
        server.server_close()


class AcmeConfig(Config):
    """Where the vendor is."""

    base_url: str
    api_key: Secret


class _Acme(Connector[AcmeConfig]):
    async def _ask(self, method: str, path: str, body: Any = None, key: Key | None = None) -> Any:
        headers = {"Authorization": self.secret("api_key")} | ({"Idempotency-Key": str(key)} if key else {})
        async with httpx.AsyncClient(base_url=self.config.base_url, timeout=30) as client:
            try:
                answer = await client.request(method, path, json=body, headers=headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                raise Transient("refused") from None
            except httpx.TransportError:
                raise (Unknown if is_writing() and method != "GET" else Transient)("no answer") from None
        return self._read(answer)

    def _read(self, answer: httpx.Response) -> Any:
        writing = is_writing() and answer.request.method != "GET"
        if answer.status_code == 429:
            seconds = answer.headers.get("Retry-After")
            raise RateLimited("slowly", after=timedelta(seconds=float(seconds)) if seconds else None)
        try:
            body = answer.json()
        except ValueError:
            raise (Unknown if writing else Broken)("the answer is no JSON") from None
        said = (body or {}).get("message", "")
        match answer.status_code:
            case 200:
                return body
            case 401:
                raise Unauthorized(f"refused {self.secret('api_key')}", status=401)
            case 422:
                raise Rejected(said, code=body["code"], fields=body["fields"], status=422)
            case 503:
                raise Transient("busy", status=503)
            case status:
                raise (Unknown if writing else Transient)(f"it failed: {said}", status=status)


class AcmePay(_Acme, PaymentGateway):
    """Keeps keys for a day."""

    name = "acme-pay"

    @native(ttl=timedelta(hours=24))
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        if order.description == "poison":
            raise KeyError(order.reference)
        done = await self._ask("POST", "/charge", order.model_dump(mode="json"), key)
        return Payment.model_validate({**done, "status": "succeeded", "next_action_url": "https://x/token-1"})

    @native()
    async def capture(self, order: CaptureOrder, key: Key) -> Payment:
        raise NotImplementedError

    @native()
    async def void(self, order: VoidOrder, key: Key) -> Payment:
        raise NotImplementedError

    @native()
    async def refund(self, order: RefundOrder, key: Key) -> Refund:
        raise NotImplementedError

    async def find(self, reference: str) -> Payment | None:
        done = await self._ask("GET", f"/charge?reference={reference}")
        return Payment.model_validate({**done, "status": "succeeded"}) if done else None


class AcmeShip(_Acme, Shipper):
    """Finds a label by its order, a second after it was bought."""

    name = "acme-ship"

    async def validate(self, address: Address) -> AddressCheck:
        raise NotImplementedError

    async def rate(self, parcel: Parcel) -> list[ShippingRate]:
        raise NotImplementedError

    @by_find("bought", lag=timedelta(seconds=1))
    async def buy(self, parcel: Parcel, key: Key) -> Label:
        body = parcel.model_dump(mode="json") | {"reference": parcel.order}
        return self._label(await self._ask("POST", "/label", body))

    async def bought(self, parcel: Parcel, key: Key) -> Label | None:
        """What the write asks with."""
        return await self.find(parcel.order)

    @native()
    async def void(self, void: LabelVoid, key: Key) -> Label:
        raise NotImplementedError

    async def find(self, order: str) -> Label | None:
        done = await self._ask("GET", f"/label?reference={order}")
        return self._label(done) if done else None

    async def track(self, label: str) -> TrackingStatus:
        raise NotImplementedError

    def _label(self, done: dict[str, Any]) -> Label:
        return Label(id=done["id"], order=done["reference"], amount=450, currency="USD")


class AcmeMail(_Acme, Mailer):
    """Nothing guards against a second mail."""

    name = "acme-mail"

    @never()
    async def send(self, mail: Mail, key: Key) -> MailReceipt:
        await self._ask("POST", "/mail", mail.model_dump(mode="json"))
        return MailReceipt(message_id=f"<{key}@masthead>", reply="250 queued")


class AcmeUsers(_Acme, Provisioner):
    """Takes the current state of a user, whatever it had before."""

    name = "acme-users"

    @native()
    async def put(self, user: UserState, key: Key) -> ProvisionedUser:
        done = await self._ask("POST", "/user", user.model_dump(mode="json"), key)
        return ProvisionedUser(id=done["id"], external_id=user.external_id, active=user.active)

    @native()
    async def deactivate(self, user: UserDeactivation, key: Key) -> ProvisionedUser:
        raise NotImplementedError

    async def find(self, external_id: str) -> ProvisionedUser | None:
        raise NotImplementedError


CONNECTORS: dict[str, type[_Acme]] = {
    "pay": AcmePay,
    "ship": AcmeShip,
    "mail": AcmeMail,
    "users": AcmeUsers,
}


class Opener:
    """Opens the connectors of one vendor; `secrets` may be taken away."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.secrets = {"ACME_KEY": SECRET}
        self.mode: Mode = "test"

    async def __call__(self, name: str, /) -> Connector[Any]:
        """The connector of a connection."""
        if name not in CONNECTORS:
            raise DefinitionError(f"there is no connection {name!r} in masthead.yaml")
        kind = CONNECTORS[name]
        config = AcmeConfig(base_url=self.url, api_key=Secret("env:ACME_KEY"))
        return kind(config, memory_context(name, mode=self.mode, secrets=self.secrets))
