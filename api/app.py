"""The HTTP application, composed here: engine, Temporal client, routes, errors, keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel
from sqlalchemy import Engine, text
from temporalio.client import Client

from api import openapi, pay, problems, unsubscribe
from api.body_guard import BodyGuard
from api.checkout_news import CheckoutNews
from api.key_ring import KeyRing
from api.observed import Observed
from api.reference import serve_reference
from api.security import open_route, require_key
from api.tax_now import taxing_now
from api.v1 import (
    account_commands,
    accounts,
    api_keys,
    bill_runs,
    catalog,
    checkouts,
    disputes,
    dunning,
    entitlement_check,
    entitlements,
    events,
    gifts,
    invoice_documents,
    invoices,
    metrics,
    parked,
    payment_methods,
    payment_runs,
    payments_in_doubt,
    quotes,
    received_payments,
    refunds,
    subscription_commands,
    subscriptions,
    test_clocks,
    usage,
    webhook_deliveries,
    webhook_endpoints,
)
from api.v1.event_readers import EventReaders
from api.webhooks.intake import Intake
from api.webhooks.routes import webhook_route
from connectors.sdk.memory import EnvSecrets
from connectors.sdk.webhooks.shelf import bundled_recipes
from documents.invoice_page import InvoicePages
from documents.pay_page import PayPages
from documents.shelf import Shelf
from operations.entitlements.paywall import Paywall
from operations.tariffs import Tariffs
from runtime.settings import Settings, load_settings
from runtime.taxing import tax_uses
from runtime.telemetry.hub_metrics import HubMetrics
from runtime.telemetry.process import Telemetry
from runtime.telemetry.readiness import asked, database_answers, temporal_answers
from runtime.telemetry.traces import tracer
from runtime.temporal import connect
from runtime.webhooks_out import encryption_of
from storage.database import make_engine, transaction
from storage.events import reader_lag
from storage.statements import Statements, close_pool, make_pool, open_pool
from storage.write_holds import open_hold

HEALTH_TIMEOUT_SECONDS = 2.0

# FastAPI's own name the path and the query, which hold what callers know people by; ours (api/observed.py) do not.
_NO_SPANS_OF_ITS_OWN: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}

health_routes = APIRouter(tags=["health"])


class Health(BaseModel):
    """What answers. details: what is wrong, where something is."""

    status: Literal["ok", "unavailable"]
    postgres: bool
    temporal: bool
    event_readers: EventReaders | None
    writes_held: str | None
    details: list[str] = []


class Ready(BaseModel):
    """Whether each of the checks was passed, and the reasons of those that were not."""

    status: Literal["ready", "not ready"]
    checks: dict[str, bool]
    reasons: list[str]


# Every router of the API, in the order of the documentation.
ROUTERS = (
    entitlement_check.router,
    catalog.router,
    accounts.router,
    subscriptions.router,
    subscription_commands.router,
    account_commands.router,
    quotes.router,
    checkouts.router,
    gifts.router,
    refunds.router,
    received_payments.router,
    disputes.router,
    usage.router,
    invoices.router,
    invoice_documents.router,
    entitlements.router,
    events.router,
    bill_runs.router,
    payment_methods.router,
    payment_runs.router,
    dunning.router,
    payments_in_doubt.router,
    parked.router,
    metrics.router,
    webhook_endpoints.router,
    webhook_deliveries.router,
    test_clocks.router,
    api_keys.router,
)
# Matched first: looking in vain at the routers before them took a twentieth of the time of a command.
ASKED_MOST = (entitlement_check.router, subscription_commands.router)


def create_app(settings: Settings | None = None, telemetry: Telemetry | None = None) -> FastAPI:
    """The application for the database and Temporal server of `settings` (default: of the environment).

    Its state has `settings`, `engine`, `keys` and `temporal`. It starts and answers while Temporal is away. telemetry:
    that of the process, whose endpoint then tells what the rows say, too. Raises ValueError without a database.
    """
    chosen = settings or load_settings()
    if chosen.database_url is None:
        raise ValueError("DATABASE_URL is not set; run `masthead up`, which starts the API with all it needs")
    url = chosen.database_url
    taxed_by = tax_uses(chosen)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = make_engine(url)
        app.state.keys = KeyRing(app.state.engine)
        app.state.tariffs = Tariffs(app.state.engine)
        app.state.temporal = await connect(
            chosen.temporal_address,
            chosen.temporal_namespace,
            lazy=True,
            runtime=telemetry.runtime if telemetry else None,
            interceptors=telemetry.interceptors if telemetry else (),
        )
        app.state.checks = {
            "database": database_answers(app.state.engine),
            "temporal": temporal_answers(app.state.temporal, asyncio.get_running_loop()),
        }
        inbox, reads = make_pool(url, "webhooks"), make_pool(url, "entitlements")
        app.state.webhook_intake = Intake(inbox, bundled_recipes(), EnvSecrets().resolve)
        app.state.paywall = Paywall(Statements(reads))
        app.state.checkout_news = CheckoutNews(url)
        await open_pool(inbox)
        await open_pool(reads)
        try:
            async with taxing_now(chosen, app.state.engine, taxed_by) as app.state.tax_now:
                with (
                    telemetry.listening(app.state.checks, HubMetrics(app.state.engine))
                    if telemetry
                    else nullcontext()
                ):
                    yield
        finally:
            await app.state.checkout_news.close()
            await close_pool(inbox)
            await close_pool(reads)
            app.state.engine.dispose()

    app = FastAPI(
        title="Masthead",
        summary="Subscription hub for digital media",
        lifespan=lifespan,
        dependencies=[Depends(require_key)],
        telemetry=_NO_SPANS_OF_ITS_OWN,
        docs_url=None,
        redoc_url=None,
    )
    serve_reference(app)
    app.state.settings = chosen
    app.state.encryption = encryption_of(chosen.secret_key)
    app.state.engine_taxed = frozenset(taxed_by)
    shelf = Shelf(chosen.templates)
    app.state.invoice_pages, app.state.pay_pages = InvoicePages(shelf), PayPages(shelf)
    problems.install(app)
    openapi.describe(app, (health_routes, *ROUTERS, unsubscribe.router, pay.router))
    app.add_middleware(BodyGuard)
    app.add_middleware(Observed, tracer=tracer)  # around the guard: what it refuses is a request, too
    for router in sorted(ROUTERS, key=lambda each: each not in ASKED_MOST):
        app.include_router(router)
    app.include_router(health_routes)
    app.include_router(unsubscribe.router)
    app.include_router(pay.router)
    # First: matching a path costs a microsecond a route, and this one is the hot one.
    app.router.routes.insert(0, webhook_route())
    return app


@health_routes.get(
    "/health",
    responses={200: {"model": Health}, 503: {"model": Health, "description": "Something does not answer"}},
    summary="Whether Postgres and Temporal answer",
)
@open_route
async def health(request: Request) -> JSONResponse:
    """200 when all answers within two seconds, else 503 naming what does not. Needs no key.

    `event_readers` says how far the slowest reader of the event log is behind (null when that cannot be told); being
    behind is not being unavailable. Nor is `writes_held`, why nothing is written to other systems (null: it is).
    """
    state = request.app.state
    postgres, temporal, lag, held = await asyncio.gather(
        _postgres_answers(state.engine),
        _temporal_answers(state.temporal),
        _event_readers(state.engine),
        _writes_held(state.engine),
    )
    fine = postgres is None and temporal is None
    body: dict[str, Any] = {
        "status": "ok" if fine else "unavailable",
        "postgres": postgres is None,
        "temporal": temporal is None,
        "event_readers": lag,
        "writes_held": held,
    }
    if not fine:
        body["details"] = [problem for problem in (postgres, temporal) if problem is not None]
    return JSONResponse(body, 200 if fine else 503)


@health_routes.get("/health/live", summary="Whether the API answers")
@open_route
async def live() -> dict[str, str]:
    """200 from a process that answers. Needs no key."""
    return {"status": "live"}


@health_routes.get(
    "/health/ready",
    responses={200: {"model": Ready}, 503: {"model": Ready, "description": "It cannot, and why"}},
    summary="Whether the API can do its work",
)
@open_route
async def ready(request: Request) -> JSONResponse:
    """200 when the database answers with the schema of this code, and Temporal answers; else 503 with the reasons.
    Needs no key."""
    found = await asyncio.to_thread(asked, request.app.state.checks)
    return JSONResponse(found.as_json(), 200 if found.ready else 503)


async def _event_readers(engine: Engine) -> dict[str, Any] | None:
    def ask() -> dict[str, Any]:
        with transaction(engine) as connection:
            return EventReaders.of(reader_lag(connection)).model_dump()

    with suppress(Exception):
        async with asyncio.timeout(HEALTH_TIMEOUT_SECONDS):
            return await asyncio.to_thread(ask)
    return None


async def _writes_held(engine: Engine) -> str | None:
    def ask() -> str | None:
        with transaction(engine) as connection:
            hold = open_hold(connection)
        return None if hold is None else hold.reason

    with suppress(Exception):
        async with asyncio.timeout(HEALTH_TIMEOUT_SECONDS):
            return await asyncio.to_thread(ask)
    return None


async def _postgres_answers(engine: Engine) -> str | None:
    def ask() -> None:
        with engine.connect() as connection:
            connection.execute(text("select 1"))

    return await _problem("Postgres", lambda: asyncio.to_thread(ask))


async def _temporal_answers(client: Client) -> str | None:
    async def ask() -> None:
        await client.service_client.check_health(timeout=timedelta(seconds=HEALTH_TIMEOUT_SECONDS))

    return await _problem("Temporal", ask)


async def _problem(name: str, ask: Callable[[], Any]) -> str | None:
    """None when `ask` succeeds in time, else a sentence that reveals no address and no credential."""
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_SECONDS):
            await ask()
    except TimeoutError:
        return f"{name} did not answer within {HEALTH_TIMEOUT_SECONDS:g} s"
    except Exception as error:
        return f"{name} does not answer ({type(error).__name__})"
    return None
