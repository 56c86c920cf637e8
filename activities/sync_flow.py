"""A flow that is sound, together with the parts that it names: method, map, command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel

from connectors.sdk.connector import Connector
from connectors.sdk.mapping import Mapping
from connectors.sdk.methods import Method
from operations.sync.batch import Plan
from operations.sync.commands import Command
from operations.sync.flow import FlowDocument


@dataclass(frozen=True, slots=True)
class OutboundFlow:
    """States told to others. record: what the method takes; batched: many of them in a call, each with an outcome.

    kind: which of the other system's records are written, where the map says it (a constant `kind`).
    """

    document: FlowDocument
    method: Method
    record: type[BaseModel]
    batched: bool
    mapping: Mapping = field(repr=False)
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class InboundFlow:
    """What others tell, as a command to us. pull: the method that is asked, with its first arguments; None for a kind
    of webhook, in `webhook`."""

    document: FlowDocument
    command: Command
    mapping: Mapping = field(repr=False)
    pull: Method | None = None
    arguments: tuple[Any, ...] = ()
    webhook: str | None = None


Flow = OutboundFlow | InboundFlow


@dataclass(frozen=True, slots=True)
class ConnectionFlows:
    """A connection with what shall be kept in step. mode: the connection's."""

    connection: str
    mode: str
    flows: tuple[Flow, ...]

    def plan(self, flow: Flow) -> Plan:
        """The flow as this connection carries it out."""
        return Plan(self.connection, self.mode, flow.document)

    @property
    def outbound(self) -> list[OutboundFlow]:
        """Those that tell the other system."""
        return [flow for flow in self.flows if isinstance(flow, OutboundFlow)]

    @property
    def pulled(self) -> list[InboundFlow]:
        """Those for which the other system is asked."""
        return [flow for flow in self.flows if isinstance(flow, InboundFlow) and flow.pull is not None]


class FlowsOf(Protocol):
    """Which flows a connection has."""

    def __call__(self, connection: str, /) -> ConnectionFlows | None:
        """None for a connection that is gone, disabled or without flows."""
        ...


def capability_missing(connector: type[Connector[Any]], methods: Sequence[Method]) -> list[str]:
    """The capabilities that a connector lacks for these methods."""
    return sorted(
        {each.capability.capability for each in methods if not issubclass(connector, each.capability)}
    )
