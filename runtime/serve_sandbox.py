"""The sandbox process of the stack: `python -m runtime.serve_sandbox --port N CONNECTOR...`.

Each connector's stand-in is mounted at `/<connector>`, third parties' as ours (entry points of masthead.stand_ins).
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from runtime.conformance import NoStandIn, stand_ins
from runtime.process_exit import leave
from sandbox.server import LocalServer
from sandbox.stand_in import StandIn


def main() -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. A stand-in that is missing is told and left out."""
    parser = argparse.ArgumentParser(description="Serve the stand-ins of connectors.")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("connectors", nargs="*", help="names of connectors")
    chosen = parser.parse_args()
    there = stand_ins()
    made: dict[str, StandIn] = {}
    for name in chosen.connectors:
        try:
            if name not in there:
                raise NoStandIn(f"{name} has no stand-in")
            made[name] = there[name]()
        except NoStandIn as error:
            print(f"left out: {error}", file=sys.stderr)  # noqa: T201
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = LocalServer(made, mounted=True, port=chosen.port)
        server.start()
    except OSError as error:
        print(f"port {chosen.port}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"sandbox of {', '.join(made) or 'nothing'} at {server.url}")  # noqa: T201
    stop.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    leave(main())
