"""A workflow that logs, and has an activity log."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

MAIL = "annabella.karlsson@kund.example"


@workflow.defn
class Logging:
    """Logs a mail address, which nobody should."""

    @workflow.run
    async def run(self) -> None:
        """Log, here and in the activity `logs`."""
        workflow.logger.warning("in a workflow: %s", MAIL)
        await workflow.execute_activity("logs", start_to_close_timeout=timedelta(seconds=30))
