"""What an author calls: requests with parsed answers, everything else done by the SDK."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, cast, overload
from urllib.parse import quote, urlencode

import httpx
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from connectors.sdk.error_table import Path
from connectors.sdk.errors import ConnectorError, DefinitionError, Rejected
from connectors.sdk.failures import body_of
from connectors.sdk.key import Key
from connectors.sdk.sending import Answer, Outgoing, Sender
from connectors.sdk.values import Health

if TYPE_CHECKING:
    from connectors.sdk.http import Http

M = TypeVar("M")
Scalar = str | int | float | bool
_PLACE = re.compile(r"\{(\w+)\}")


class Request(TypedDict, total=False):
    """What a request may have beside its path. At most one of json, form and content.

    path: values of the `{names}` in the path, escaped for it. params: the query; None leaves one out. json: what
    JSON can hold, pydantic models included (by alias). key: the business key, sent in the header that `Http`
    declares. passing: statuses above 299 that are answered instead of raised.
    """

    path: Mapping[str, str | int]
    params: Mapping[str, Scalar | Sequence[Scalar] | None]
    headers: Mapping[str, str]
    json: Any
    form: Mapping[str, Scalar | Sequence[Scalar] | None]
    content: bytes
    key: Key | None
    passing: Collection[int]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. headers: names in any case. Not shown: it may hold anything."""

    status: int
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)
    _answer: Answer = field(repr=False)
    _sender: Sender = field(repr=False)

    @property
    def json(self) -> Any:
        """The body as JSON. Raises Unknown on a write, Broken on a read, when it is none."""
        body = body_of(self.content)
        if body is None and self.content.strip() != b"null":
            raise self._sender.unreadable(self._answer, "it is no JSON")
        return body


class HttpClient:
    """The client of one connector instance. Every method raises the ConnectorError that an exchange ends with.

    With `into` the answer is parsed: a pydantic model, or any type that pydantic can check, as list[Thing]
    or Thing | None.
    """

    def __init__(self, http: Http, sender: Sender) -> None:
        self._http = http
        self.sender = sender

    def __repr__(self) -> str:
        return f"HttpClient({self.sender!r})"

    async def aclose(self) -> None:
        """Close all connections."""
        await self.sender.aclose()

    @overload
    async def get(self, url: str, *, into: type[M], **request: Unpack[Request]) -> M: ...
    @overload
    async def get(self, url: str, *, into: UnionType, **request: Unpack[Request]) -> Any: ...
    @overload
    async def get(self, url: str, **request: Unpack[Request]) -> Reply: ...
    async def get(
        self, url: str, *, into: type[M] | UnionType | None = None, **request: Unpack[Request]
    ) -> M | Reply | Any:
        """Read what is at `url`: a path below the base URL, as in "/documents/{code}"."""
        return await self._request("GET", url, into, request)

    async def find(
        self, url: str, *, into: type[M], missing: str = "@", **request: Unpack[Request]
    ) -> M | None:
        """Read what is at `url`; None when the system itself answers that there is none: 404 with a JSON body.

        missing: JMESPath over that body; what it finds must not be null or false, as in "code == 'not_found'". A 404
        that does not fit, as a gateway's page, is Broken: taken for "there is none" it would have a write sent twice.
        """
        passing = {404, *request.get("passing", ())}
        reply = await self._send("GET", url, {**request, "passing": passing})
        if reply.status != 404:
            return self._parsed(reply, into)
        body = body_of(reply.content)
        if body is None or Path(missing).of(body) in (None, False):
            raise self.sender.unreadable(reply._answer, "it does not say what is not found")
        return None

    async def health(self, url: str) -> Health:
        """Whether `url` can be read with our credentials: what most connectors answer as their health."""
        try:
            await self.get(url)
        except ConnectorError as error:
            return Health(ok=False, detail=error.message)
        return Health(ok=True, detail="it answers and takes our credentials")

    @overload
    async def post(self, url: str, *, into: type[M], **request: Unpack[Request]) -> M: ...
    @overload
    async def post(self, url: str, *, into: UnionType, **request: Unpack[Request]) -> Any: ...
    @overload
    async def post(self, url: str, **request: Unpack[Request]) -> Reply: ...
    async def post(
        self, url: str, *, into: type[M] | UnionType | None = None, **request: Unpack[Request]
    ) -> M | Reply | Any:
        """Send to `url` by POST."""
        return await self._request("POST", url, into, request)

    @overload
    async def put(self, url: str, *, into: type[M], **request: Unpack[Request]) -> M: ...
    @overload
    async def put(self, url: str, **request: Unpack[Request]) -> Reply: ...
    async def put(self, url: str, *, into: type[M] | None = None, **request: Unpack[Request]) -> M | Reply:
        """Send to `url` by PUT."""
        return await self._request("PUT", url, into, request)

    @overload
    async def patch(self, url: str, *, into: type[M], **request: Unpack[Request]) -> M: ...
    @overload
    async def patch(self, url: str, **request: Unpack[Request]) -> Reply: ...
    async def patch(self, url: str, *, into: type[M] | None = None, **request: Unpack[Request]) -> M | Reply:
        """Send to `url` by PATCH."""
        return await self._request("PATCH", url, into, request)

    @overload
    async def delete(self, url: str, *, into: type[M], **request: Unpack[Request]) -> M: ...
    @overload
    async def delete(self, url: str, **request: Unpack[Request]) -> Reply: ...
    async def delete(self, url: str, *, into: type[M] | None = None, **request: Unpack[Request]) -> M | Reply:
        """Send to `url` by DELETE."""
        return await self._request("DELETE", url, into, request)

    async def _request(
        self, method: str, url: str, into: type[M] | UnionType | None, request: Request
    ) -> M | Reply | Any:
        reply = await self._send(method, url, request)
        return reply if into is None else self._parsed(reply, into)

    async def _send(self, method: str, url: str, request: Request) -> Reply:
        answer = await self.sender.send(self._outgoing(method, url, request))
        return Reply(answer.status, answer.headers, answer.content, answer, self.sender)

    def _parsed(self, reply: Reply, into: type[M] | UnionType) -> M:
        try:
            parsed: M = _adapter(cast("Hashable", into)).validate_json(reply.content or b"null")
            return parsed
        except ValidationError as invalid:
            # Places and kinds only: the texts quote what was answered.
            problems = [
                (".".join(map(str, each["loc"])) or "the body", each["type"]) for each in invalid.errors()
            ]
        told = ", ".join(f"{where} ({kind})" for where, kind in problems[:5])
        name = getattr(into, "__name__", str(into))
        raise self.sender.unreadable(reply._answer, f"it is no {name}: {told}")

    def _outgoing(self, method: str, url: str, request: Request) -> Outgoing:
        headers = {"Accept": "application/json", **request.get("headers", {})}
        content = request.get("content", b"")
        if "json" in request:
            content, headers["Content-Type"] = to_json(request["json"]), "application/json"
        elif "form" in request:
            content = _query(request["form"]).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if len({"json", "form", "content"} & request.keys()) > 1:
            raise DefinitionError(f"{method} {url}: give one of json=, form= and content=")
        if (key := request.get("key")) is not None:
            if self._http.key_header is None:
                raise DefinitionError(f"{method} {url}: key= needs Http(key_header=...)")
            headers[self._http.key_header] = key.within(self._http.key_length)
        query = _query(request.get("params", {}))
        path = "/" + self._path(method, url, request.get("path", {})).lstrip("/")
        return Outgoing(
            method=method,
            url=self.sender.base + path + (f"?{query}" if query else ""),
            shown="/" + url.partition("?")[0].lstrip("/"),
            headers=_sendable(headers, method, url),
            content=content,
            passing=frozenset(request.get("passing", ())),
        )

    def _path(self, method: str, url: str, values: Mapping[str, str | int]) -> str:
        if "://" in url or "?" in url or "#" in url:
            raise DefinitionError(
                f"{method} {url.partition('?')[0]}: give a path below the base URL, and params="
            )

        def fill(place: re.Match[str]) -> str:
            name = place[1]
            if name not in values:
                raise DefinitionError(f"{method} {url}: give path={{{name!r}: ...}}")
            value = str(values[name])
            # These would name another resource than the one that is meant.
            if value in {"", ".", ".."}:
                raise Rejected(f"{method} {url}: {name} is {value!r}, which cannot stand in a path")
            return quote(value, safe="")

        return _PLACE.sub(fill, url)


def _query(values: Mapping[str, Scalar | Sequence[Scalar] | None]) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is None:
            continue
        each = [value] if isinstance(value, str | int | float) else value
        pairs += [(name, str(one).lower() if isinstance(one, bool) else str(one)) for one in each]
    return urlencode(pairs)


def _sendable(headers: Mapping[str, str], method: str, url: str) -> dict[str, str]:
    for name, value in headers.items():
        if not value.isprintable() or not value.isascii():
            raise Rejected(f"{method} {url}: the header {name} can hold printable ASCII only")
    return dict(headers)


@functools.lru_cache(maxsize=256)
def _adapter(into: Any) -> TypeAdapter[Any]:
    return TypeAdapter(into)
