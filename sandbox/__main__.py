"""`python -m sandbox --port 8090`: the sandbox as a process of its own."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from sandbox.app import SYSTEMS, stand_ins
from sandbox.server import LocalServer


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. `--ready-file` gets the URL once everything listens."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Local stand-ins of the vendors.")
    parser.add_argument(
        "--port", type=int, default=8090, help="port on 127.0.0.1; 0 takes a free one (default 8090)"
    )
    parser.add_argument("--systems", help=f"some of {','.join(SYSTEMS)}; all when left out")
    parser.add_argument("--ready-file", type=Path, help="file that gets the URL when the sandbox is ready")
    chosen = parser.parse_args(arguments)
    try:
        server = LocalServer(
            stand_ins(chosen.systems.split(",") if chosen.systems else None), mounted=True, port=chosen.port
        )
        server.start()
    except (ValueError, OSError) as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 2
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    sys.stdout.write(f"sandbox at {server.url}\n")
    sys.stdout.flush()
    if chosen.ready_file is not None:
        chosen.ready_file.write_text(server.url)
    stop.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
