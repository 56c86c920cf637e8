"""The one way to a Temporal client: converter, sandbox and connection settings in one place."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import temporalio.service
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client, Interceptor
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.plugin import SimplePlugin
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from contracts.names import SEARCH_ATTRIBUTES
from runtime.payload_codec import PayloadEncryption
from runtime.settings import load_settings

# Re-importing these in the sandbox for each workflow makes a worker three times slower or worse; none of
# them is used by workflow code for anything that changes between two replays.
PASSED_THROUGH = (
    "domain",
    "contracts",
    "activities",
    "operations",
    "storage",
    "connectors",
    "sqlalchemy",
    "psycopg",
    "psycopg_pool",
    "uuid_utils",
    "ruamel",
    "httpx",
)

WORKFLOW_RUNNER: WorkflowRunner = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
)


class TemporalUnavailable(Exception):
    """Temporal could not be reached, or refused us, before the deadline. The message says what to do."""


class MastheadPlugin(SimplePlugin):
    """Converter, encryption and workflow runner for clients, workers, tests and the Replayer alike.

    codec: by default the keys of MASTHEAD_PAYLOAD_KEY. Raises PayloadKeyError where that cannot be used.
    """

    def __init__(self, codec: PayloadEncryption | None = None) -> None:
        codec = codec or PayloadEncryption.of(load_settings().payload_key)
        super().__init__(
            "masthead",
            data_converter=replace(pydantic_data_converter, payload_codec=codec),
            workflow_runner=lambda _: WORKFLOW_RUNNER,
        )


def connection_options(address: str | None, namespace: str | None) -> dict[str, Any]:
    """Keyword arguments for Client.connect: the TEMPORAL_* environment and profile file (address, namespace,
    TLS, API key), over which the arguments win.

    An address that does not come from TEMPORAL_ADDRESS is the embedded server's: there the environment is
    left aside, so that credentials for another service are never sent to it.
    """
    embedded = address is not None and not os.environ.get("TEMPORAL_ADDRESS")
    options: dict[str, Any] = {} if embedded else dict(ClientConfig.load_client_connect_config())
    if address is not None:
        options["target_host"] = address
    if namespace is not None:
        options["namespace"] = namespace
    options.setdefault("target_host", "127.0.0.1:7233")
    return options


async def connect(
    address: str | None,
    namespace: str | None = None,
    *,
    deadline_seconds: float = 30.0,
    lazy: bool = False,
    runtime: Runtime | None = None,
    interceptors: Sequence[Interceptor] = (),
) -> Client:
    """A client for `namespace` at `address`, tried again until the deadline.

    With `lazy` nothing is sent before the first call, so that a process can start while Temporal is away. runtime: what
    the core library logs and counts with; interceptors: also those of workers that are given this client.
    Raises TemporalUnavailable when the deadline passes, and at once when the server refuses our credentials.
    """
    options = connection_options(address, namespace)
    deadline = time.monotonic() + deadline_seconds
    pause = 0.05
    while True:
        try:
            return await Client.connect(
                **options, plugins=[MastheadPlugin()], lazy=lazy, runtime=runtime, interceptors=interceptors
            )
        except RPCError as error:
            if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
                raise TemporalUnavailable(
                    f"Temporal at {options['target_host']} refused the connection: {error.message}. "
                    "Check TEMPORAL_API_KEY and the TEMPORAL_TLS_* variables."
                ) from error
            problem: Exception = error
        except (RuntimeError, OSError) as error:
            problem = error
        if time.monotonic() + pause > deadline:
            raise TemporalUnavailable(
                f"no Temporal server answered at {options['target_host']} within {deadline_seconds:g} s "
                f"({problem}). Check TEMPORAL_ADDRESS, or leave it unset to use the embedded server."
            ) from problem
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 1.0)


async def ensure_namespace(
    address: str | None, namespace: str, retention_days: int = 30, *, deadline_seconds: float = 30.0
) -> None:
    """Create `namespace`, or bring its retention to `retention_days`, and wait until it can be used."""
    client = await connect(address, namespace, deadline_seconds=deadline_seconds)
    service = client.workflow_service
    retention = Duration()
    retention.FromTimedelta(timedelta(days=retention_days))
    try:
        found = await service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
        if found.config.workflow_execution_retention_ttl.seconds != retention.seconds:
            await service.update_namespace(
                UpdateNamespaceRequest(
                    namespace=namespace, config=NamespaceConfig(workflow_execution_retention_ttl=retention)
                )
            )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            await _register(service, namespace, retention)
        elif error.status is not RPCStatusCode.PERMISSION_DENIED:
            raise TemporalUnavailable(f"namespace {namespace!r} cannot be set up: {error.message}") from error
        # A hosted namespace belongs to its operator: we use it with the retention that it has.
    await _until_usable(client, namespace, deadline_seconds)


async def _register(service: temporalio.service.WorkflowService, namespace: str, retention: Duration) -> None:
    try:
        await service.register_namespace(
            RegisterNamespaceRequest(
                namespace=namespace, workflow_execution_retention_period=retention, description="Masthead"
            )
        )
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return
        raise TemporalUnavailable(
            f"namespace {namespace!r} does not exist and cannot be created: {error.message}. "
            "Create it, or set TEMPORAL_NAMESPACE to one that exists."
        ) from error


async def _until_usable(client: Client, namespace: str, deadline_seconds: float) -> None:
    # A new namespace is known to the whole server only after its caches have been refreshed.
    deadline = time.monotonic() + deadline_seconds
    while True:
        try:
            await client.count_workflows()
            return
        except RPCError as error:
            if time.monotonic() > deadline:
                raise TemporalUnavailable(
                    f"namespace {namespace!r} is not usable: {error.message}"
                ) from error
        await asyncio.sleep(0.1)


async def registered_search_attributes(client: Client) -> frozenset[str]:
    """The names of the custom search attributes that the client's namespace has."""
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return frozenset(listed.custom_attributes)


async def ensure_search_attributes(client: Client, *, deadline_seconds: float = 30.0) -> None:
    """Register every key of contracts.names.SEARCH_ATTRIBUTES that the client's namespace lacks."""
    wanted: dict[str, IndexedValueType.ValueType] = {
        key.name: cast("IndexedValueType.ValueType", int(key.indexed_value_type)) for key in _keys()
    }
    deadline = time.monotonic() + deadline_seconds
    asked = False
    while missing := wanted.keys() - await registered_search_attributes(client):
        if time.monotonic() > deadline:
            raise TemporalUnavailable(f"search attributes do not appear: {', '.join(sorted(missing))}")
        if asked:
            await asyncio.sleep(0.1)
            continue
        asked = True
        try:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=client.namespace, search_attributes={name: wanted[name] for name in missing}
                )
            )
        except RPCError as error:
            # Another process may have added them between our look and our call.
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise TemporalUnavailable(
                    f"search attributes {', '.join(sorted(missing))} cannot be registered: {error.message}. "
                    "Register them with the tools of your Temporal service."
                ) from error


def _keys() -> tuple[SearchAttributeKey[Any], ...]:
    return tuple(SEARCH_ATTRIBUTES)
