"""What a worker runs: the one list of workflows, activities and background loops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Engine
from temporalio.client import Client

from activities.bill_run import BillRunActivities
from workflows.bill_run import BillRunWorkflow

WORKFLOWS: list[type] = [BillRunWorkflow]

BackgroundLoop = Callable[[Engine, Client], Awaitable[None]]

# Each runs beside the worker until it is canceled; one that ends or raises is started again after a pause.
background: list[BackgroundLoop] = []


def build_activities(engine: Engine, client: Client) -> list[Callable[..., Any]]:
    """The activities of this process, built with their dependencies."""
    return [*BillRunActivities(engine).all()]
