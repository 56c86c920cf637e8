"""One worker process: `python worker.py`.

It works for the database and the Temporal server of DATABASE_URL and TEMPORAL_ADDRESS, or, where one of
them is not set, for the stack that runs in MASTHEAD_HOME. Add workers by starting more of them.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from runtime.collector import uncollected

with uncollected():
    from connectors.sdk.errors import DefinitionError
    from runtime.flow_source import FlowErrors
    from runtime.process_exit import leave
    from runtime.settings import Settings, SettingsError, load_settings
    from runtime.stack.client import running_stack
    from runtime.telemetry.listener import NoPort
    from runtime.telemetry.process import running_telemetry
    from runtime.temporal import TemporalUnavailable
    from runtime.worker import run_worker
    from runtime.yaml_source import DocumentError


def _located(settings: Settings) -> Settings | None:
    """The settings with the addresses of the running stack where none are given; None without a stack."""
    if settings.database_url is not None and settings.temporal_address is not None:
        return settings
    stack = running_stack(settings)
    if stack is None or stack.database_url is None or stack.temporal_address is None:
        return None
    return settings.model_copy(
        update={
            "database_url": settings.database_url or stack.database_url,
            "temporal_address": settings.temporal_address or stack.temporal_address,
            "temporal_namespace": stack.namespace,
            "sandbox_url": settings.sandbox_url or stack.sandbox_url,
        }
    )


def main() -> int:
    """Run the worker; returns the exit code."""
    try:
        settings = _located(load_settings())
        if settings is None:
            print(  # noqa: T201
                "no stack is running here: start one with `masthead up`, or set DATABASE_URL and TEMPORAL_ADDRESS",
                file=sys.stderr,
            )
            return 2
        with running_telemetry(settings, "worker") as telemetry:
            asyncio.run(run_worker(settings, telemetry))
    except (SettingsError, NoPort) as error:
        print(f"bad setting: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except (DocumentError, DefinitionError) as error:
        print(f"the connections cannot be used as they are configured:\n{error}", file=sys.stderr)  # noqa: T201
        return 2
    except FlowErrors as error:
        print(f"the flows cannot be used as they are:\n{error}", file=sys.stderr)  # noqa: T201
        return 2
    except TemporalUnavailable as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    except Exception:
        logging.getLogger("masthead.worker").exception("the worker failed")
        return 1
    return 0


if __name__ == "__main__":
    leave(main())
