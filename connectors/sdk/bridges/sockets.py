"""A plain connection for transports that are not HTTP, through the same guard."""

from __future__ import annotations

import asyncio
import socket

from connectors.sdk.context import Context
from connectors.sdk.errors import Rejected, Transient
from connectors.sdk.guard import is_allowed


async def guarded_socket(context: Context, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ASYNC109
    """A connected socket to a checked address of `host`, looked up once.

    timeout: seconds for look-up and connection together. Raises Transient when nobody answers, Rejected for an
    address that the connection may not reach.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            for _, _, _, _, address in found:
                if not is_allowed(str(address[0]), allow_loopback=context.allow_loopback):
                    raise Rejected(
                        f"{host} leads to an address that this connection may not reach",
                        code="address_refused",
                        blame="configuration",
                    )
            for family, kind, protocol, _, address in found:
                made = socket.socket(family, kind, protocol)
                made.setblocking(False)
                try:
                    await loop.sock_connect(made, address)
                except OSError:
                    made.close()
                    continue
                except BaseException:
                    made.close()
                    raise
                return made
    except TimeoutError:
        raise Transient(f"{host} could not be connected to in time") from None
    except (OSError, UnicodeError):
        raise Transient(f"{host} was not found") from None
    raise Transient(f"{host}:{port} refuses the connection")
