"""The API process: uvicorn on MASTHEAD_API_HOST (the loopback interface), or on a socket that a parent hands down."""

from __future__ import annotations

import argparse
import logging
import socket
import sys

import uvicorn

from api.app import create_app
from runtime.process_exit import leave
from runtime.settings import SettingsError, load_settings


def main() -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(description="Serve the Masthead API.")
    parser.add_argument("--fd", type=int, help="number of an inherited listening socket")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = load_settings()
        app = create_app(settings)
    except (SettingsError, ValueError) as error:
        print(f"bad setting: {error}", file=sys.stderr)  # noqa: T201
        return 2
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
    server.run(sockets=None if arguments.fd is None else [socket.socket(fileno=arguments.fd)])
    return 0 if server.started else 1


if __name__ == "__main__":
    leave(main())
