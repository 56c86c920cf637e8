"""Choosing ports on the loopback interface."""

from __future__ import annotations

import secrets
import socket

LOOPBACK = "127.0.0.1"


# Below what systems hand out to outgoing connections: a port from that range may be taken as somebody's source port
# between our choice and a server's use of it.
_QUIET_PORTS = range(20_000, 32_000)
_TRIES = 50


def listener(preferred: int) -> socket.socket:
    """A socket bound to the preferred port on the loopback interface, or to a free one when that is taken (or 0)."""
    others = (_QUIET_PORTS[secrets.randbelow(len(_QUIET_PORTS))] for _ in range(_TRIES))
    for port in (*((preferred,) if preferred else ()), *others, 0):
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Without it a port is refused for a minute after its last user has gone.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((LOOPBACK, port))
            bound.listen(1024)
            return bound
        except OSError:
            bound.close()
            if port == 0:
                raise
    raise AssertionError("unreachable")


def choose_port(preferred: int, taken: frozenset[int] = frozenset()) -> int:
    """The preferred port when it is free and not in `taken`, else some free port."""
    with listener(0 if preferred in taken else preferred) as bound:
        return int(bound.getsockname()[1])


def answers(port: int, timeout_seconds: float = 0.5) -> bool:
    """Whether something listens on the loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False
