"""What a checkout asks of others than its gateway meets every fault that they may commit: of the tax engine before
anything is held, and, once it is paid, of who provides access, gives licences and sends parcels."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from activities.checkout import by_engine
from connectors.avalara.connector import Avalara
from connectors.sdk.connector import Connector
from connectors.sdk.memory import memory_context
from contracts.checkout import CheckoutStatus
from contracts.names import connector_call_id
from contracts.parked import Action, Resolve
from domain.catalog import Catalog
from domain.delivered import Shipping
from operations.catalog import load_catalog
from runtime.catalog_source import read_catalog_file
from runtime.connector_source import read_connector
from sandbox.avatax.stand_in import AvaTaxStandIn
from sandbox.faults import FAULTS
from sandbox.reference.stand_in import ReferenceStandIn
from tests import single_invoices
from tests.operations.fulfilment.parcels import SERVICES
from tests.workflows.deciding import decide
from tests.workflows.selling import BUYER, CATALOG, QUICK, Shop, order
from workflows.checkout_starts import CheckoutHandle

S = CheckoutStatus
SAMPLE = ("drop_after", "error_in_200", "rejected", "unauthorized_once")
MORE = tuple(fault for fault in FAULTS if fault not in SAMPLE)
HALVES = [SAMPLE, pytest.param(MORE, marks=pytest.mark.deep)]
RETRY = Resolve(action=Action.RETRY, actor="ops", reason="it is well again")

# How a checkout ends that cannot be told its tax; asked once more where there was no answer, it is told.
UNTAXED = {
    "rejected": "tax_refused",
    "conflict": "tax_refused",
    "unauthorized_once": "tax_unavailable",
    "unauthorized_forever": "tax_unavailable",
    "html": "tax_unavailable",
    "truncated_json": "tax_unavailable",
}
# What a person decides about; the rest is tried again, under the same key.
STUCK = frozenset({"rejected", "conflict", "unauthorized_once", "unauthorized_forever"})


def count_of(faults: Any) -> str:
    return f"{len(faults)} faults" if isinstance(faults, tuple) else ""


@pytest.mark.parametrize("faults", HALVES, ids=count_of)
async def test_each_fault_of_a_tax_quote(shop: Shop, faults: tuple[str, ...]) -> None:
    with ExitStack() as stack:
        handles: dict[str, CheckoutHandle] = {}
        engines: dict[str, AvaTaxStandIn] = {}
        for fault in faults:
            engine = engines[fault] = stack.enter_context(AvaTaxStandIn())
            engine.inject(fault, method="POST", path="/api/v2/transactions/create*", after=1, seconds=3.0)
            quotes = single_invoices.Shop(shop.engine, Avalara, engine, timeout=QUICK).quotes
            shop.taxes = by_engine(quotes)
            handles[fault] = await shop.start(order())
            await shop.until("its engine is asked", lambda engine=engine: engine.requests)
        ends = {fault: await handle.result() for fault, handle in handles.items()}
        assert {fault: end.kind for fault, end in ends.items()} == {
            fault: UNTAXED.get(fault) for fault in faults
        }
        for fault, end in ends.items():
            reference = f"checkout:{end.checkout_id}"
            assert end.status is (S.REFUSED if fault in UNTAXED else S.COMPLETED)
            assert shop.gateway.count("authorization", reference) == (fault not in UNTAXED)
            # A quote is no document, however often it was asked for.
            assert engines[fault].count() == 0
        taxed = "select i.tax, d.total from invoice i left join tax_document d on d.invoice_id = i.id"
        assert shop.rows(taxed) == [(107, 107)] * len(set(faults) - UNTAXED.keys())


IDENTITY = """
format: masthead.connector/1
name: identity-service
title: An identity system over plain JSON
config:
  base_url: {type: url, description: Where the service answers}
  key: {type: secret, description: Its API key}
auth: {api_key: key, header: X-Key}
rate: 50/s
key_header: Idempotency-Key
errors:
  - {status: 422, is: rejected, code: error.code, message: error.message, fields: error.fields}
health: GET /health
calls:
  provisioning.put: {send: POST /provisioning/put, repeat: native 24h}
  provisioning.deactivate: {send: POST /provisioning/deactivate, repeat: native 24h}
  provisioning.find: POST /provisioning/find
"""
HOME = {"line1": "17 Canary Wharf Steps", "city": "Springfield", "postal_code": "12345", "country": "US"}


@dataclass(frozen=True)
class Beside:
    """A call that follows a sale: of which capability, and as what the other system counts it."""

    capability: str
    effect: str


BESIDE = {
    "provisioning.put": Beside("provisioning", "put"),
    "drm.grant": Beside("drm", "grant"),
    "shipping.buy": Beside("shipping", "buy"),
}


@pytest.fixture
def kinds(tmp_path: Path) -> dict[str, type[Connector[Any]]]:
    """Who speaks to the other systems, by capability."""
    identity = tmp_path / "identity-service.yaml"
    identity.write_text(IDENTITY)
    return {
        "provisioning": read_connector(identity),
        "drm": SERVICES["licences"],
        "shipping": SERVICES["parcels"],
    }


def with_a_printed_book() -> Catalog:
    """The example's catalog, and a book that is sent once."""
    catalog = read_catalog_file(CATALOG).catalog
    ebook = next(plan for plan in catalog.plans if plan.code == "harbor-lights-ebook")
    book = ebook.model_copy(
        update={
            "code": "harbor-lights-book",
            "name": "Harbor Lights: the printed book",
            "content": (),
            "shipping": Shipping(sku="HL-PRINT", weight=400),
        }
    )
    return catalog.model_copy(update={"plans": (*catalog.plans, book)})


@pytest.mark.parametrize("faults", HALVES, ids=count_of)
@pytest.mark.parametrize("method", BESIDE)
async def test_each_fault_of_what_follows_a_sale(
    shop: Shop, kinds: dict[str, type[Connector[Any]]], method: str, faults: tuple[str, ...]
) -> None:
    """The sale is complete whatever happens; each system does its part once, those that a person sees to as well."""
    load_catalog(shop.engine, with_a_printed_book())
    beside = BESIDE[method]
    kind = kinds[beside.capability]
    cart = ("digital-monthly", "harbor-lights-ebook", "harbor-lights-book")
    with ExitStack() as stack:
        systems: dict[str, ReferenceStandIn] = {}
        for fault in faults:
            system = systems[fault] = stack.enter_context(ReferenceStandIn())
            config = kind.Config.model_validate(kind.sandbox_config(system.url))
            context = memory_context(fault, secrets={"SANDBOX_SECRET": "sandbox"}, timeout=QUICK)
            shop.others[fault] = kind(config, context)
            shop.fulfilled_by = {beside.capability: fault}
            system.inject(fault, path=f"/{beside.capability}/*", after=1, seconds=3.0)
            result, _ = await shop.sell(order(*cart, buyer={**BUYER, "address": HOME}))
            assert result.status is S.COMPLETED, fault
        for fault, system in systems.items():
            await _check_done(shop, fault, method, system)
            assert system.count(beside.effect) == 1, fault
            assert system.count() == 1, fault
            assert system.faults.waiting() == [], fault
    if method == "provisioning.put":
        features = "select distinct request->'features' from connector_call where method = 'provisioning.put'"
        assert shop.rows(features) == [(["news"],)]


async def _check_done(shop: Shop, fault: str, method: str, system: ReferenceStandIn) -> None:
    """The call of the connection `fault` has succeeded, after a person has decided where one has to."""
    called = "select key, status from connector_call where connection = %s and method = %s"
    if fault in STUCK:
        await shop.until(f"{fault}: is stuck", lambda: shop.rows(called, fault, method)[0][1] == "parked")
        system.faults.clear()
        ((key, _),) = shop.rows(called, fault, method)
        own = shop.client.get_workflow_handle(connector_call_id(fault, method, key))
        await decide(own, RETRY)
    await shop.until(
        f"{fault}: is done",
        lambda: [status for _, status in shop.rows(called, fault, method)] == ["succeeded"],
    )
