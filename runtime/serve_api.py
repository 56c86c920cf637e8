"""The API process: uvicorn on MASTHEAD_API_HOST (the loopback interface), or on a socket that a parent hands down."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from types import FrameType

from runtime.collector import calm_collector, uncollected

with uncollected():
    import uvicorn
    from fastapi import FastAPI

    from api.app import create_app
    from runtime.process_exit import leave
    from runtime.settings import Settings, SettingsError, load_settings
    from runtime.telemetry.process import running_telemetry


def main() -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(description="Serve the Masthead API.")
    parser.add_argument("--fd", type=int, help="number of an inherited listening socket")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        with running_telemetry(settings, "api") as telemetry:
            return _serve(create_app(settings, telemetry), settings, arguments.fd)
    except _AskedToStop:
        return 0
    except (SettingsError, ValueError) as error:
        print(f"bad setting: {error}", file=sys.stderr)  # noqa: T201
        return 2


class _AskedToStop(BaseException):
    """A signal, which uvicorn repeats when it has stopped: what surrounds it ends in order, too."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _AskedToStop


def _serve(app: FastAPI, settings: Settings, descriptor: int | None) -> int:
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=4,
    )
    server = uvicorn.Server(config)
    calm_collector()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    server.run(sockets=None if descriptor is None else [socket.socket(fileno=descriptor)])
    return 0 if server.started else 1


if __name__ == "__main__":
    leave(main())
