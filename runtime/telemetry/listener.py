"""The one endpoint of a process for those who watch it: `/metrics`, `/health/live` and `/health/ready`.

It is a listener of its own, beside the API's: what it says is for the operator's network, so it is on the loopback
interface unless a setting says otherwise, needs no key, and is never where the public API is. It answers from threads
of its own, also while the process's event loop is busy.
"""

from __future__ import annotations

import errno
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6
from typing import Any

from runtime.telemetry.readiness import Readiness

log = logging.getLogger("masthead.telemetry")

# Several processes on one machine: each takes the next port that is free.
PORTS_TRIED = 100
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


class NoPort(RuntimeError):
    """Nothing can listen at MASTHEAD_METRICS_ADDRESS; the message says why."""


@dataclass(frozen=True)
class Answers:
    """What the endpoint answers with. Called in the listener's threads."""

    metrics: Callable[[], bytes]
    readiness: Callable[[], Readiness]


class Listener:
    """Serves `answers` on `host`, at `port` or the first free one after it, until `close`. Raises NoPort."""

    def __init__(self, host: str, port: int, answers: Answers) -> None:
        self._server = _bound(host, port, answers)
        self.address = f"{_in_url(host)}:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="telemetry", kwargs={"poll_interval": 0.2}, daemon=True
        )
        self._thread.start()
        log.info("metrics and readiness on http://%s", self.address)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _bound(host: str, port: int, answers: Answers) -> ThreadingHTTPServer:
    class Handler(_Handler):
        to = answers

    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if ip_address(host).version == 6 else AF_INET
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            log.debug("a scrape broke off", exc_info=True)

    for each in range(port, min(port + PORTS_TRIED, 65536)):
        try:
            return Server((host, each), Handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise NoPort(f"MASTHEAD_METRICS_ADDRESS: {host}:{each}: {error.strerror}") from None
    raise NoPort(
        f"MASTHEAD_METRICS_ADDRESS: none of the {PORTS_TRIED} ports from {port} on is free; name another, or `off`"
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _Handler(BaseHTTPRequestHandler):
    to: Answers
    timeout = 10  # seconds for a client that says nothing
    server_version = "masthead"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one of the three paths; 404 for any other."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, EXPOSITION, self.to.metrics())
        elif path == "/health/live":
            self._answer(200, "application/json", b'{"status":"live"}')
        elif path == "/health/ready":
            found = self.to.readiness()
            body = json.dumps(found.as_json()).encode()
            self._answer(200 if found.ready else 503, "application/json", body)
        else:
            self._answer(404, "text/plain", b"/metrics, /health/live, /health/ready\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is nothing to write down."""
