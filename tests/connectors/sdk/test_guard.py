"""Where a connector may connect to, and that a name is not looked up twice."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.sdk.guard import Refused, check_url, is_allowed
from connectors.sdk.outcomes import Phase
from connectors.sdk.transport import Timeouts, Way
from tests.connectors.sdk.wire import answer, raw_server

LOOPBACK = ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"]
INNER = [
    *("0.0.0.0", "10.0.0.1", "172.16.9.9", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1"),
    *("198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"),
    *("::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    *("::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
]
OUTER = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_are_never_allowed(address: str) -> None:
    assert not is_allowed(address, allow_loopback=False)
    assert not is_allowed(address, allow_loopback=True)


@pytest.mark.parametrize("address", LOOPBACK)
def test_this_machine_is_allowed_only_where_the_connection_says_so(address: str) -> None:
    assert not is_allowed(address, allow_loopback=False)
    assert is_allowed(address, allow_loopback=True)


@pytest.mark.parametrize("address", OUTER)
def test_the_public_internet_is_allowed(address: str) -> None:
    assert is_allowed(address, allow_loopback=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example/",
        "ftp://api.example/",
        "file:///etc/passwd",
        "https://user:pass@api.example/",
        "https://",
        "https://api.example:99999/",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00:ec2::254]/",
        "https://127.0.0.1/",
        "http://localhost:8080/",
    ],
)
def test_urls_that_cannot_be_meant_are_refused(url: str) -> None:
    with pytest.raises(Refused):
        check_url(url, allow_loopback=False)


def test_plain_http_is_for_this_machine_only() -> None:
    check_url("http://127.0.0.1:8080/x", allow_loopback=True)
    check_url("http://localhost/x", allow_loopback=True)
    check_url("https://api.example/x", allow_loopback=False)
    with pytest.raises(Refused, match="use https"):
        check_url("http://api.example/", allow_loopback=True)


def _named(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """A name service that gives these answers, one after the other; what was asked is written down."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if host not in ("vendor.test", "localhost"):
            return real(host, port, *rest, **options)
        addresses = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def _way(*, allow_loopback: bool = True, tls: ssl.SSLContext | None = None) -> Way:
    timeouts = Timeouts(connect=2, read=2, total=4)
    return Way(allow_loopback=allow_loopback, timeouts=timeouts, max_bytes=1000, tls=tls)


@pytest.mark.parametrize(
    "addresses", [["10.0.0.5"], ["127.0.0.1"], ["169.254.169.254"], ["1.1.1.1", "10.0.0.5"]]
)
async def test_a_name_that_leads_inside_is_refused_unsent(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    _named(monkeypatch, addresses)
    way = _way(allow_loopback=False)
    got = await way.deliver("POST", "https://vendor.test/", httpx.Headers(), b"x")
    await way.aclose()
    assert (got.phase, got.refused) == (Phase.NOT_SENT, True)
    assert "vendor.test leads to" in got.problem


async def test_the_name_is_looked_up_once_and_the_checked_address_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with raw_server(answer(200, {})) as server:
        # A second look-up would be told the address of cloud metadata.
        asked = _named(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
        way = _way()
        got = await way.deliver("GET", f"http://localhost:{server.port}/", httpx.Headers(), b"")
        await way.aclose()
        assert (got.status, asked) == (200, ["localhost"])


async def test_localhost_must_be_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    _named(monkeypatch, ["1.1.1.1"])
    way = _way()
    got = await way.deliver("GET", "http://localhost/", httpx.Headers(), b"")
    await way.aclose()
    assert got.refused


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a server called `name` and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "both.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


async def test_tls_asks_for_and_verifies_the_name_though_the_address_is_dialled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tls, trusting = _certificate(tmp_path, "vendor.test")
    asked_for: list[str | None] = []
    tls.sni_callback = lambda _, name, __: asked_for.append(name)
    _named(monkeypatch, ["127.0.0.1"])
    async with raw_server(answer(200, {"a": 1}), tls=tls) as server:
        way = _way(tls=trusting)
        got = await way.deliver("GET", f"https://vendor.test:{server.port}/x", httpx.Headers(), b"")
        assert (got.status, got.content) == (200, b'{"a": 1}')
        assert asked_for == ["vendor.test"]
        assert server.received[0].headers["host"] == f"vendor.test:{server.port}"
        wrong = await way.deliver("POST", f"https://localhost:{server.port}/x", httpx.Headers(), b"x")
        assert (wrong.phase, wrong.status) == (Phase.NOT_SENT, None)
        await way.aclose()


async def test_a_slow_name_service_is_no_longer_waited_for_than_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = asyncio.Event()

    async def look_up(*_: Any, **__: Any) -> Any:
        await answered.wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    way = Way(allow_loopback=True, timeouts=Timeouts(connect=0.05, read=5, total=5), max_bytes=10)
    got = await way.deliver("POST", "https://vendor.test/", httpx.Headers(), b"")
    await way.aclose()
    assert (got.phase, got.problem) == (Phase.NOT_SENT, "could not be connected to in time")
