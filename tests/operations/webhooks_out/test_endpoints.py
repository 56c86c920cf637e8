"""Endpoints of subscribers: what is refused, how secrets are kept, and which kinds of events are meant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
import uuid_utils
from sqlalchemy import Engine

from operations.webhooks_out import endpoints
from operations.webhooks_out.kinds import MOST_KINDS, BadKinds, checked_kinds, like_patterns, wants
from operations.webhooks_out.secrets import PREFIX, active_secrets
from operations.webhooks_out.urls import BadUrl, checked_url
from storage.database import make_engine, transaction
from storage.encryption import Encryption, SecretKeyError, new_key
from storage.webhooks_out import read_destination
from tests.conftest import PostgresForTests

URL = "https://crm.example.com/masthead"


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    engine = make_engine(pg_server.fresh_database("endpoints"))
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://crm.example.com/", "begin with https"),
        ("ftp://crm.example.com/", "begin with https"),
        ("https:///hook", "names no host"),
        ("https://crm.example.com:99999/", "cannot be read"),
        ("https://me:word@crm.example.com/", "user name or password"),
        ("https://crm.example.com/#part", "fragment"),
        ("https://crm.example.com/a b", "without spaces"),
        ("https://crm.example.com/\nx", "without spaces"),
        ("https://crm.exämple.com/", "ASCII"),
        ("https://10.0.0.7/", "not on the public internet"),
        ("https://169.254.169.254/latest", "not on the public internet"),
        ("https://[fd00::1]/", "not on the public internet"),
        ("https://[::ffff:10.0.0.7]/", "not on the public internet"),
        ("http://127.0.0.1:9/", "this machine"),
        ("https://localhost/", "this machine"),
        ("https://127.0.0.9/", "not on the public internet"),
        ("https://999.1.1.1/x", "host cannot be read"),
        ("https://1.2.3.04/a", "host cannot be read"),
        ("https://[v1.a]/", "cannot be read"),
        ("https://" + "a" * 2000 + ".com", "at most 2000"),
    ],
)
def test_a_url_that_must_not_be_is_refused_without_repeating_it(url: str, reason: str) -> None:
    with pytest.raises(BadUrl, match=reason) as refused:
        checked_url(url, allow_loopback=False)
    assert "word" not in str(refused.value).replace("password", "")


def test_a_sandbox_may_have_endpoints_on_this_machine() -> None:
    for url in (URL, "http://127.0.0.1:8080/x", "http://localhost/x", "https://localhost/"):
        assert checked_url(url, allow_loopback=True) == url
    with pytest.raises(BadUrl):
        checked_url("http://192.168.1.1/", allow_loopback=True)


@pytest.mark.parametrize(
    "kinds", [[], ["invoice.**"], ["*.posted"], ["Invoice.posted"], ["a."], ["x'; drop"], ["a" * 101]]
)
def test_kinds_that_cannot_be_meant_are_refused(kinds: list[str]) -> None:
    with pytest.raises(BadKinds):
        checked_kinds(kinds)


def test_too_many_kinds_are_refused() -> None:
    with pytest.raises(BadKinds, match="too many"):
        checked_kinds([f"kind.n{n}" for n in range(MOST_KINDS + 1)])


@pytest.mark.parametrize(
    "patterns", [["*"], ["invoice.*"], ["invoice.posted"], ["a_b.*"], ["a_b.c", "invoice"]]
)
def test_the_database_and_the_code_mean_the_same_by_a_kind(engine: Engine, patterns: list[str]) -> None:
    kinds = ["invoice.posted", "invoice.posted.late", "invoice", "invoices.posted", "a_b.c", "axb.c", "x"]
    with transaction(engine) as connection:
        rows = connection.execute(
            "select kind from unnest(%s::text[]) kind where kind like any(%s)",
            (kinds, like_patterns(patterns)),
        ).fetchall()
    assert [kind for (kind,) in rows] == [kind for kind in kinds if wants(patterns, kind)]


def test_a_secret_is_stored_encrypted_and_opens_only_for_its_endpoint(engine: Engine) -> None:
    encryption = Encryption.of(new_key())
    one = endpoints.add_endpoint(engine, encryption, url=f"{URL}/1", kinds=["*"])
    other = endpoints.add_endpoint(engine, encryption, url=f"{URL}/2", kinds=["*"])
    assert one.secret.startswith(PREFIX)
    assert one.secret != other.secret
    assert one.secret not in repr(one) + str(one)
    with transaction(engine) as connection:
        at = read_destination(connection, one.endpoint.id)
        assert at is not None
        assert one.secret.encode() not in at.secret
        assert active_secrets(encryption, one.endpoint.id, at, one.endpoint.created_at) == (one.secret,)
        with pytest.raises(SecretKeyError):
            active_secrets(encryption, other.endpoint.id, at, one.endpoint.created_at)
        with pytest.raises(SecretKeyError):
            active_secrets(Encryption.of(new_key()), one.endpoint.id, at, one.endpoint.created_at)


def test_without_a_key_nothing_is_added(engine: Engine) -> None:
    with pytest.raises(SecretKeyError):
        endpoints.add_endpoint(engine, Encryption([]), url=f"{URL}/keyless", kinds=["*"])
    with transaction(engine) as connection:
        assert (
            connection.execute("select 1 from webhook_endpoint where url like '%/keyless'").fetchall() == []
        )


def test_one_endpoint_a_url(engine: Engine) -> None:
    encryption = Encryption.of(new_key())
    first = endpoints.add_endpoint(engine, encryption, url=f"{URL}/same", kinds=["*"])
    with pytest.raises(endpoints.EndpointExists) as refused:
        endpoints.add_endpoint(engine, encryption, url=f"{URL}/same", kinds=["*"])
    assert refused.value.endpoint_id == first.endpoint.id
    endpoints.delete(engine, first.endpoint.id)
    second = endpoints.add_endpoint(engine, encryption, url=f"{URL}/same", kinds=["*"])
    assert second.endpoint.id != first.endpoint.id
    with transaction(engine) as connection:
        gone = read_destination(connection, first.endpoint.id)
    assert gone is not None
    assert gone.secret == b""


def test_commands_on_no_endpoint(engine: Engine) -> None:
    nobody = str(uuid_utils.uuid7())
    for command in (
        lambda: endpoints.change(engine, nobody, kinds=["*"]),
        lambda: endpoints.disable(engine, nobody, "x"),
        lambda: endpoints.enable(engine, nobody),
        lambda: endpoints.delete(engine, nobody),
    ):
        with pytest.raises(endpoints.UnknownEndpoint):
            command()


def test_a_row_may_not_be_half_written(engine: Engine) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), transaction(engine) as connection:
        connection.execute("update webhook_endpoint set status = 'disabled'")


def test_after_a_lost_key_a_rotation_is_enough(engine: Engine) -> None:
    lost, present = Encryption.of(new_key()), Encryption.of(new_key())
    endpoint = endpoints.add_endpoint(engine, lost, url=f"{URL}/lost", kinds=["*"]).endpoint
    new = endpoints.rotate_secret(engine, present, endpoint.id, endpoint.created_at)
    with transaction(engine) as connection:
        at = read_destination(connection, endpoint.id)
    assert at is not None
    assert active_secrets(present, endpoint.id, at, endpoint.created_at) == (new.secret,)


def test_a_key_is_changed_without_changing_secrets(engine: Engine) -> None:
    before, after = new_key(), new_key()
    made = endpoints.add_endpoint(engine, Encryption.of(before), url=f"{URL}/rekeyed", kinds=["*"])
    both = Encryption.of(f"{after},{before}")
    new = endpoints.rotate_secret(engine, both, made.endpoint.id, made.endpoint.created_at)
    with transaction(engine) as connection:
        at = read_destination(connection, made.endpoint.id)
    assert at is not None
    assert active_secrets(both, made.endpoint.id, at, made.endpoint.created_at) == (new.secret, made.secret)


def test_a_repeated_rotation_keeps_the_secret_that_the_receiver_knows(engine: Engine) -> None:
    encryption = Encryption.of(new_key())
    made = endpoints.add_endpoint(engine, encryption, url=f"{URL}/twice", kinds=["*"])
    id_, now = made.endpoint.id, made.endpoint.created_at
    second = endpoints.rotate_secret(engine, encryption, id_, now)
    by = endpoints.By("ops", "again")
    with pytest.raises(endpoints.RotatedLately, match="rotated 5 hours ago"):
        endpoints.rotate_secret(engine, encryption, id_, now + timedelta(hours=5), by=by)
    with transaction(engine) as connection:
        at = read_destination(connection, id_)
        assert connection.execute("select 1 from audit where reason = 'again'").fetchall() == []
    assert at is not None
    assert active_secrets(encryption, id_, at, now) == (second.secret, made.secret)
    endpoints.rotate_secret(engine, encryption, id_, now, force=True, by=by)
    endpoints.rotate_secret(engine, encryption, id_, now + timedelta(hours=25))


def test_nothing_bad_is_known_of_a_new_url(engine: Engine) -> None:
    made = endpoints.add_endpoint(engine, Encryption.of(new_key()), url=f"{URL}/bad", kinds=["*"]).endpoint
    with transaction(engine) as connection:
        connection.execute(
            "update webhook_endpoint set failures = 9, failing_since = now(), held_until = now() where id = %s",
            (made.id,),
        )
    assert endpoints.change(engine, made.id, url=made.url).failures == 9
    moved = endpoints.change(engine, made.id, url=f"{URL}/good")
    assert (moved.failures, moved.failing_since, moved.held_until) == (0, None, None)
