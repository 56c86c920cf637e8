"""Where a connector may connect to: the public internet, and this machine where its connection allows that.

A name is looked up once, every address is checked, and the connection goes to a checked address, so that a name
cannot answer one address for the check and another for the call (server-side request forgery by rebinding). TLS
still verifies the name, and the Host header still carries it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

import httpcore

_NAT64 = IPv6Network("64:ff9b::/96")

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class Refused(Exception):
    """An address that a connector may not connect to. The message names host and reason."""


def is_allowed(address: str, *, allow_loopback: bool) -> bool:
    """Whether an IP address may be connected to: a global unicast one, or loopback where that is allowed."""
    ip = _embedded(ip_address(address.partition("%")[0]))
    if ip.is_loopback:
        return allow_loopback
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _embedded(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address leads to by mapping, 6to4 or NAT64; else the address itself."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)


def check_url(url: str, *, allow_loopback: bool) -> None:
    """Refuse a URL that cannot be meant for another system: scheme, user part, port. Raises Refused.

    Plain http is for this machine only, and only where that is allowed.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host:
        raise Refused("a URL needs a host")
    if parts.username is not None or parts.password is not None:
        raise Refused(f"{host}: put no user or password into the URL; use a secret reference")
    try:
        _ = parts.port
    except ValueError:
        raise Refused(f"{host}: the port is no number up to 65535") from None
    if parts.scheme == "http":
        if not is_loopback_host(host):
            raise Refused(f"{host}: use https; plain http is for this machine only")
    elif parts.scheme != "https":
        raise Refused(f"{host}: use https")
    if is_loopback_host(host) and not allow_loopback:
        raise Refused(f"{host}: this connection may not reach this machine; only one in test mode may")
    try:
        literal = str(ip_address(host))
    except ValueError:
        return
    if not is_allowed(literal, allow_loopback=allow_loopback):
        raise Refused(f"{host} is not an address on the public internet")


def is_loopback_host(host: str) -> bool:
    """Whether a host is written as this machine."""
    if host == "localhost":
        return True
    try:
        return _embedded(ip_address(host)).is_loopback
    except ValueError:
        return False


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for httpcore, to checked addresses only."""

    def __init__(self, *, allow_loopback: bool) -> None:
        self._allow_loopback = allow_loopback
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look up, check, connect. Raises Refused, httpcore.ConnectError or ConnectTimeout."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._look_up(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} was not found in time") from None
        problem: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                problem = failed
        raise problem or httpcore.ConnectError(f"{host} has no address")

    async def _look_up(self, host: str, port: int) -> list[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpcore.ConnectError(f"{host} was not found") from None
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        for address in addresses:
            if not is_allowed(address, allow_loopback=self._allow_loopback):
                raise Refused(f"{host} leads to {address}, which is not an address on the public internet")
            # Plain http is let through for this name; it must not lead elsewhere.
            if host == "localhost" and not ip_address(address).is_loopback:
                raise Refused(f"localhost leads to {address}")
        return addresses

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's own signature
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise Refused("connectors use no unix sockets")

    async def sleep(self, seconds: float) -> None:
        """Wait, for httpcore's own retries, which are off."""
        await asyncio.sleep(seconds)
