"""The fail point inside workflow tasks. A worker loads this only when MASTHEAD_FAIL_POINT names `in-parent`."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.worker import (
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from operations.billrun.fail_points import fail_point

POINT = "in-parent"
CHUNK_ACTIVITY = "bill_chunk"


class InParent(Interceptor):
    """Ends the process inside the workflow task in which a bill run schedules its next chunk."""

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        """What goes around each workflow."""
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        if input.activity == CHUNK_ACTIVITY and not workflow.unsafe.is_replaying():
            fail_point(POINT)
        return super().start_activity(input)
