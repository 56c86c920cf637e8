"""Names that several processes must agree on: queues, workflow ids, search attributes, signals.

A workflow id is a function of business identity and is written here once, with its inverse. No personal
data and no secret ever stands in an id or a search attribute.
"""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

from temporalio.common import SearchAttributeKey

TASK_QUEUE = "masthead"
# Sending webhooks is waiting for others: on a queue of its own it takes no place from the work on the books.
WEBHOOK_QUEUE = "masthead-webhooks"
# So are calls to other systems.
CALL_QUEUE = "masthead-calls"
# A turn of keeping another system in step waits for what there is to tell, up to half an hour.
SYNC_QUEUE = "masthead-sync"

STATUS = SearchAttributeKey.for_keyword("MastheadStatus")
ACCOUNT = SearchAttributeKey.for_keyword("MastheadAccount")
CONNECTOR = SearchAttributeKey.for_keyword("MastheadConnector")
ERROR_KIND = SearchAttributeKey.for_keyword("MastheadErrorKind")
TRACE_KEY = SearchAttributeKey.for_keyword("MastheadTraceKey")
BILLING_DATE = SearchAttributeKey.for_keyword("MastheadBillingDate")

SEARCH_ATTRIBUTES: tuple[SearchAttributeKey[str], ...] = (
    STATUS,
    ACCOUNT,
    CONNECTOR,
    ERROR_KIND,
    TRACE_KEY,
    BILLING_DATE,
)

BILL_RUN_SCHEDULE = "schedule/bill-run"
PAYMENT_RUN_SCHEDULE = "schedule/payment-run"
SWEEP_SCHEDULE = "schedule/sweep"
DUNNING_SCHEDULE = "schedule/dunning"
SCHEDULED_DUNNING = "dunning-sweep/scheduled"
SCHEDULED_BILL_RUN = "bill-run/scheduled"
SCHEDULED_PAYMENT_RUN = "payment-run/scheduled"
SCHEDULED_SWEEP = "sweep/scheduled"

_BY_SCHEDULE = re.compile(r"(?P<given>.+)-(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)", re.ASCII)


class BillRunIdentity(NamedTuple):
    """What one bill run is: its scope name and its target date or instant, as text."""

    scope: str
    target: str


def bill_run_id(scope: str, target: date | str) -> str:
    """The workflow id of the bill run over `scope` ("all", "parked", ...) with target date `target`."""
    return f"bill-run/{scope}/{target}"


def payment_run_id(scope: str, target: date | str) -> str:
    """The workflow id of the payment run over `scope` ("all", "retries", ...) with target date `target`."""
    return f"payment-run/{scope}/{target}"


def parse_bill_run_id(workflow_id: str) -> BillRunIdentity:
    """The inverse of `bill_run_id`. A Temporal Schedule appends the instant of its action to the id that it is given:
    our own Schedule's runs are over "all" with that instant as target, any other run is what its id says without it.
    Raises ValueError for any other id."""
    scheduled = _BY_SCHEDULE.fullmatch(workflow_id)
    if scheduled is not None and scheduled["given"] == SCHEDULED_BILL_RUN:
        return BillRunIdentity("all", scheduled["at"])
    head, _, rest = (scheduled["given"] if scheduled else workflow_id).partition("/")
    scope, _, target = rest.rpartition("/")
    if head != "bill-run" or not scope or not target:
        raise ValueError(f"not a bill run's workflow id: {workflow_id!r}")
    return BillRunIdentity(scope, target)


def subscription_id(subscription: str) -> str:
    """The workflow id of an episode of the subscription with id `subscription`."""
    return f"subscription/{subscription}"


def parse_subscription_id(workflow_id: str) -> str:
    """The inverse of `subscription_id`. Raises ValueError for any other id."""
    head, _, rest = workflow_id.partition("/")
    if head != "subscription" or not rest:
        raise ValueError(f"not a subscription's workflow id: {workflow_id!r}")
    return rest


def test_clock_id(clock: str) -> str:
    """The workflow id of what moves on the test clock with id `clock`."""
    return f"test-clock/{clock}"


def parse_test_clock_id(workflow_id: str) -> str:
    """The inverse of `test_clock_id`. Raises ValueError for any other id."""
    head, _, rest = workflow_id.partition("/")
    if head != "test-clock" or not rest:
        raise ValueError(f"not a test clock's workflow id: {workflow_id!r}")
    return rest


def dunning_id(account: str) -> str:
    """The workflow id of the dunning of the account with id `account`."""
    return f"dunning/{account}"


def parse_dunning_id(workflow_id: str) -> str:
    """The inverse of `dunning_id`. Raises ValueError for any other id."""
    head, _, rest = workflow_id.partition("/")
    if head != "dunning" or not rest:
        raise ValueError(f"not a workflow id of dunning: {workflow_id!r}")
    return rest


def webhook_delivery_id(endpoint: str) -> str:
    """The workflow id of the delivery to the subscriber's webhook endpoint with id `endpoint`."""
    return f"webhook-delivery/{endpoint}"


def parse_webhook_delivery_id(workflow_id: str) -> str:
    """The inverse of `webhook_delivery_id`. Raises ValueError for any other id."""
    head, _, rest = workflow_id.partition("/")
    if head != "webhook-delivery" or not rest:
        raise ValueError(f"not a webhook delivery's workflow id: {workflow_id!r}")
    return rest


def sync_id(connection: str) -> str:
    """The workflow id of what keeps the system behind the connection named `connection` in step."""
    return f"sync/{connection}"


def parse_sync_id(workflow_id: str) -> str:
    """The inverse of `sync_id`. Raises ValueError for any other id."""
    head, _, rest = workflow_id.partition("/")
    if head != "sync" or not rest:
        raise ValueError(f"not a workflow id of a sync: {workflow_id!r}")
    return rest


def tax_documents_id(connection: str) -> str:
    """The workflow id of what records documents at the tax engine behind the connection named `connection`."""
    return f"tax/{connection}"


def parse_tax_documents_id(workflow_id: str) -> str:
    """The inverse of `tax_documents_id`. Raises ValueError for any other id."""
    head, _, rest = workflow_id.partition("/")
    if head != "tax" or not rest:
        raise ValueError(f"not a workflow id of tax documents: {workflow_id!r}")
    return rest


class CallIdentity(NamedTuple):
    """Which call: of which connection, its capability and method (`payment.charge`), and its business key."""

    connection: str
    method: str
    key: str


def connector_call_id(connection: str, method: str, key: str) -> str:
    """The workflow id of one call to another system as a process of its own."""
    return f"call/{connection}/{method}/{key}"


def parse_connector_call_id(workflow_id: str) -> CallIdentity:
    """The inverse of `connector_call_id`; a key may hold slashes. Raises ValueError for any other id."""
    head, _, rest = workflow_id.partition("/")
    connection, _, rest = rest.partition("/")
    method, _, key = rest.partition("/")
    if head != "call" or not connection or "." not in method or not key:
        raise ValueError(f"not a call's workflow id: {workflow_id!r}")
    return CallIdentity(connection, method, key)


def checkout_id(checkout: str) -> str:
    """The workflow id of the checkout with id `checkout`."""
    return f"checkout/{checkout}"


def parse_checkout_id(workflow_id: str) -> str:
    """The inverse of `checkout_id`. Raises ValueError for any other id."""
    head, _, rest = workflow_id.partition("/")
    if head != "checkout" or not rest:
        raise ValueError(f"not a checkout's workflow id: {workflow_id!r}")
    return rest


def refund_id(refund: str) -> str:
    """The workflow id of the refund with id `refund`."""
    return f"refund/{refund}"


def parse_refund_id(workflow_id: str) -> str:
    """The inverse of `refund_id`. Raises ValueError for any other id."""
    head, _, rest = workflow_id.partition("/")
    if head != "refund" or not rest:
        raise ValueError(f"not a refund's workflow id: {workflow_id!r}")
    return rest
