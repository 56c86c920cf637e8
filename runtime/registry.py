"""What a worker runs: the one list of workflows, activities and background loops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from sqlalchemy import Engine
from temporalio.client import Client

from activities.bill_run import BillRunActivities
from activities.call_attempt import OpenConnector
from activities.checkout import CheckoutActivities
from activities.connectors import ConnectorActivities
from activities.dunning import DunningActivities
from activities.parked import ParkedActivities
from activities.payment_run import PaymentRunActivities
from activities.refund import RefundActivities
from activities.renewals import RenewalActivities
from activities.subscription import Episodes, SubscriptionActivities, SweepActivities
from activities.sync import SyncControlActivities
from activities.tax_documents import TaxDocumentActivities
from activities.test_clock import Deliveries, TestClockActivities
from operations.billrun.rate import TaxEngines
from operations.follow_ups.carrying import ProvisionerOf, nobody
from operations.fulfilment.sending import FulfilledBy, nothing_connected
from runtime.call_keeper import keep_calls
from runtime.card_sweep import sweep_cards
from runtime.charge_keeper import keep_charges
from runtime.checkout_keeper import keep_checkouts
from runtime.dispatcher import dispatch
from runtime.dunning_keeper import keep_dunning
from runtime.refund_keeper import keep_refunds
from runtime.schedules import keep_schedules
from runtime.webhook_dispatcher import dispatch_webhooks
from runtime.webhooks_out import send_webhooks
from workflows.bill_run import BillRunWorkflow
from workflows.call_starts import start_call
from workflows.checkout import CheckoutWorkflow
from workflows.clocks import TestClockWorkflow
from workflows.connector_call import ConnectorCallWorkflow
from workflows.connector_sync import ConnectorSyncWorkflow
from workflows.dunning import DunningSweepWorkflow, DunningWorkflow
from workflows.payment_run import PaymentRunWorkflow
from workflows.refund import RefundWorkflow
from workflows.subscription import SubscriptionWorkflow
from workflows.sweep import SweepWorkflow
from workflows.tax_documents import TaxDocumentsWorkflow
from workflows.webhook_delivery import WebhookDeliveryWorkflow

WORKFLOWS: list[type] = [
    BillRunWorkflow,
    CheckoutWorkflow,
    ConnectorCallWorkflow,
    ConnectorSyncWorkflow,
    DunningSweepWorkflow,
    DunningWorkflow,
    PaymentRunWorkflow,
    RefundWorkflow,
    SubscriptionWorkflow,
    SweepWorkflow,
    TaxDocumentsWorkflow,
    TestClockWorkflow,
    WebhookDeliveryWorkflow,
]

BackgroundLoop = Callable[[Engine, Client], Awaitable[None]]

# Each runs beside the worker until it is canceled; one that ends or raises is started again after a pause.
background: list[BackgroundLoop] = [
    dispatch,
    keep_schedules,
    send_webhooks,
    dispatch_webhooks,
    keep_calls,
    keep_charges,
    keep_checkouts,
    keep_refunds,
    sweep_cards,
    keep_dunning,
]


def build_activities(
    engine: Engine,
    client: Client,
    checkouts: CheckoutActivities,
    open_connector: OpenConnector,
    taxes: TaxEngines | None = None,
    provisioner: ProvisionerOf = nobody,
    fulfilled_by: FulfilledBy = nothing_connected,
) -> list[Callable[..., Any]]:
    """The activities of this process, built with their dependencies. checkouts: those that know the connections that
    sell. open_connector: makes the connectors that payment runs charge through. taxes: the connected tax engines.
    provisioner: names the connection that provides access; fulfilled_by: those that give licences and send parcels."""
    deliveries = Deliveries(fulfilled_by, partial(start_call, client, wake=False))
    return [
        *BillRunActivities(engine, taxes).all(),
        *checkouts.all(),
        *DunningActivities(engine, open_connector).all(),
        *ParkedActivities(engine).all(),
        *PaymentRunActivities(engine, open_connector).all(),
        *RefundActivities(engine).all(),
        *SubscriptionActivities(engine, provisioner, fulfilled_by=fulfilled_by).all(),
        *SweepActivities(engine, Episodes(client)).all(),
        *RenewalActivities(engine, provisioner).all(),
        *SyncControlActivities(engine).all(),
        *TestClockActivities(engine, Episodes(client), deliveries, taxes).all(),
    ]


def build_calls(engine: Engine, open_connector: OpenConnector) -> list[Callable[..., Any]]:
    """The activities of the queue for calls to other systems."""
    return [
        *ConnectorActivities(engine, open_connector).all(),
        *TaxDocumentActivities(engine, open_connector).all(),
    ]
