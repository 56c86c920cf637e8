"""HTTP as the tests of the sandbox call it: httpx without reading the certificates of this machine each time."""

from __future__ import annotations

import ssl
from functools import partial

import httpx

_PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

get = partial(httpx.get, verify=_PLAIN)
post = partial(httpx.post, verify=_PLAIN)
delete = partial(httpx.delete, verify=_PLAIN)
client = partial(httpx.Client, verify=_PLAIN)
