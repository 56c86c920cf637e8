"""Where an endpoint may be. Whether its name leads to an address of ours is asked again at each request."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

LONGEST_URL = 2_000
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
# What sends takes a name that ends like a number for a broken address.
_NAME = re.compile(r"([a-z0-9_-]+\.)*[a-z][a-z0-9_-]*", re.ASCII)


class BadUrl(ValueError):
    """The URL cannot be that of an endpoint. The message says why, without the URL, which may hold a token."""


def checked_url(url: str, *, allow_loopback: bool) -> str:
    """`url` if an endpoint may have it: https, or http to this machine where `allow_loopback`. Raises BadUrl."""
    if len(url) > LONGEST_URL or not url.isascii() or any(not " " < character < "\x7f" for character in url):
        raise BadUrl(f"the url must be at most {LONGEST_URL} ASCII characters without spaces; encode others")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadUrl("the url cannot be read: write https://HOST/PATH") from None
    host = (parts.hostname or "").rstrip(".")
    if not host or port == 0:
        raise BadUrl("the url names no host, or port 0: write https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise BadUrl("the url holds a user name or password: leave it out; every message is signed instead")
    if parts.fragment:
        raise BadUrl("the url has a fragment (#), which is never sent: leave it out")
    here = host in _LOOPBACK_NAMES
    if here and not allow_loopback:
        raise BadUrl(
            "the url leads to this machine, which only a sandbox may: set MASTHEAD_ALLOW_LOOPBACK=1 there"
        )
    if parts.scheme != "https" and not (here and parts.scheme == "http"):
        raise BadUrl("the url must begin with https://")
    if not here:
        _refuse_inner(host, bracketed="[" in parts.netloc)
    return url


def _refuse_inner(host: str, *, bracketed: bool) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if bracketed or not _NAME.fullmatch(host):
            raise BadUrl("the url's host cannot be read: write a name, as in crm.example.com") from None
        return
    if not address.is_global or address.is_multicast:
        raise BadUrl("the url leads to an address that is not on the public internet")
