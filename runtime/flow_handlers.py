"""Inbound flows that are told by webhooks, as handlers of the inbox."""

from __future__ import annotations

from collections.abc import Sequence

from activities.sync_flow import InboundFlow
from connectors.sdk.mapping import Drift
from operations.sync.batch import Plan
from operations.sync.inbound import Told, apply_told, count_told
from operations.webhooks_in.handlers import Handler, Outcome, WrongEndpoint, payload_of
from storage.database import PgConnection
from storage.inbound_endpoints import InboundEndpoint
from storage.webhook_inbox import StoredDelivery


def handler_of(plan: Plan, flow: InboundFlow) -> Handler:
    """Applies the deliveries of a kind as the flow's command. The map reads the delivery's JSON as it came.

    The handler raises WrongEndpoint at an endpoint that is not of the plan's connection and mode."""

    def apply(
        connection: PgConnection, endpoint: InboundEndpoint, deliveries: Sequence[StoredDelivery]
    ) -> list[Outcome]:
        if (endpoint.connection, endpoint.mode) != (plan.connection, plan.mode):
            raise WrongEndpoint(
                f"endpoint {endpoint.id} is of {endpoint.connection} ({endpoint.mode}), and the flow of"
                f" {plan.connection} ({plan.mode})"
            )
        told = [_told(flow, delivery) for delivery in deliveries]
        outcomes = []
        for each in told:
            applied = apply_told(connection, plan, flow.command, [each])
            count_told(connection, plan, applied)
            done = "parked" if applied.parked else "changed" if applied.changed else "unchanged"
            outcomes.append(Outcome(f"{plan.flow.command}: {done}"))
        return outcomes

    return apply


def _told(flow: InboundFlow, delivery: StoredDelivery) -> Told:
    mapped = flow.mapping.apply(payload_of(delivery))
    if isinstance(mapped, Drift):
        return Told(delivery.object_key, None, str(mapped))
    return Told(delivery.object_key, dict(mapped))
