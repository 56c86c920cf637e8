"""The Temporal client's factory and the set-up of a namespace, on the real server."""

from __future__ import annotations

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.contrib.pydantic import pydantic_data_converter

from contracts.names import SEARCH_ATTRIBUTES
from runtime import temporal
from runtime.payload_codec import PayloadEncryption


async def test_setting_up_a_namespace_twice_changes_nothing(temporal_address: str) -> None:
    for days in (30, 30, 40):
        await temporal.ensure_namespace(temporal_address, "twice", days)
        client = await temporal.connect(temporal_address, "twice")
        await temporal.ensure_search_attributes(client)
        described = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace="twice")
        )
        assert described.config.workflow_execution_retention_ttl.seconds == days * 86_400
        assert await temporal.registered_search_attributes(client) >= {key.name for key in SEARCH_ATTRIBUTES}


async def test_every_client_has_our_converter(temporal_address: str) -> None:
    client = await temporal.connect(temporal_address, "masthead")
    ours = client.data_converter
    assert ours.payload_converter_class is pydantic_data_converter.payload_converter_class
    assert isinstance(client.data_converter.payload_codec, PayloadEncryption)


async def test_a_server_that_does_not_answer_is_named_after_the_deadline() -> None:
    with pytest.raises(temporal.TemporalUnavailable, match=r"127\.0\.0\.1:1 .*TEMPORAL_ADDRESS"):
        await temporal.connect("127.0.0.1:1", "masthead", deadline_seconds=0.3)


def test_credentials_of_the_environment_go_to_an_external_server_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEMPORAL_API_KEY", "hush")
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)
    assert "api_key" not in temporal.connection_options("127.0.0.1:7233", "masthead")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    external = temporal.connection_options("temporal.example:7233", "masthead")
    assert external["api_key"] == "hush"
    assert external["tls"] is not None
