"""A library's request as one of ours, and an answer's headers as a library may have them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit, urlunsplit

import httpx

from connectors.sdk.errors import DefinitionError
from connectors.sdk.sending import Answer, Outgoing, Sender

# Said anew by our own way out: the encodings that it can read, and lengths that it counts itself.
_OURS = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding"})
_CHATTY = frozenset({"x-stripe-client-user-agent", "x-stripe-client-telemetry"})


def outgoing(
    sender: Sender,
    method: str,
    url: str,
    headers: Mapping[str, str],
    content: object,
    passing: Collection[int],
    *,
    json_only: bool = True,
) -> Outgoing:
    """The request. Its host must be the base URL's; the scheme is the base URL's, whatever the library insists on.

    Raises DefinitionError for another host, so that credentials go nowhere else.
    """
    base, to = urlsplit(sender.base), urlsplit(url)
    if to.netloc.lower() != base.netloc.lower():
        raise DefinitionError(f"a library wanted to call {to.hostname}; the base URL is at {base.hostname}")
    if isinstance(content, str):
        content = content.encode()
    if content is not None and not isinstance(content, bytes):
        raise DefinitionError("a library wanted to send a stream; only whole bodies are sent")
    kept = {name: value for name, value in headers.items() if name.lower() not in _OURS | _CHATTY}
    return Outgoing(
        method=method.upper(),
        url=urlunsplit((base.scheme, base.netloc, to.path or "/", to.query, "")),
        shown=to.path or "/",
        headers=kept,
        content=content or b"",
        passing=frozenset(passing),
        json_only=json_only,
    )


def plain_headers(answer: Answer) -> httpx.Headers:
    """The answer's headers without those that describe its encoded body; a library gets it decoded."""
    headers = answer.headers.copy()
    for name in ("content-encoding", "content-length", "transfer-encoding"):
        headers.pop(name, None)
    return headers
