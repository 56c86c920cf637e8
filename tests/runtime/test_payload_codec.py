"""What Temporal stores is encrypted under one setting; keys change while workflows are open; the Web UI is shown it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from temporalio import workflow
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import Client
from temporalio.worker import Replayer, Worker

from runtime.cli.app import run
from runtime.payload_codec import PayloadEncryption, PayloadKeyError
from runtime.stack.ports import choose_port
from runtime.temporal import MastheadPlugin, connect
from storage.encryption import new_key
from tests.conftest import wait_until
from tests.names import NAMESPACE

SECRET = "Zenobia-Quillfeather-42"


@workflow.defn(name="Echo", sandboxed=False)
class Echo:
    """Waits for a word and says it after the first."""

    def __init__(self) -> None:
        self._word: str | None = None

    @workflow.run
    async def run(self, first: str) -> str:
        await workflow.wait_condition(lambda: self._word is not None)
        return f"{first} {self._word}"

    @workflow.signal
    def tell(self, word: str) -> None:
        self._word = word


async def client_with(temporal_address: str, monkeypatch: pytest.MonkeyPatch, keys: str | None) -> Client:
    if keys is None:
        monkeypatch.delenv("MASTHEAD_PAYLOAD_KEY", raising=False)
    else:
        monkeypatch.setenv("MASTHEAD_PAYLOAD_KEY", keys)
    return await connect(temporal_address, NAMESPACE)


async def test_a_history_cannot_be_read_and_goes_on_under_a_new_key(
    temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = new_key(), new_key()
    queue, own = f"codec-{uuid4()}", f"echo/{uuid4()}"
    before = await client_with(temporal_address, monkeypatch, None)
    plain = await before.start_workflow(Echo.run, SECRET, id=f"{own}/plain", task_queue=queue)
    first = await client_with(temporal_address, monkeypatch, old)
    handle = await first.start_workflow(Echo.run, SECRET, id=own, task_queue=queue, static_summary=SECRET)
    # The key is changed while both are open.
    both = await client_with(temporal_address, monkeypatch, f"{new},{old}")
    async with Worker(both, task_queue=queue, workflows=[Echo]):
        await both.get_workflow_handle(own).signal(Echo.tell, SECRET[::-1])
        await both.get_workflow_handle(f"{own}/plain").signal(Echo.tell, "x")
        assert await both.get_workflow_handle_for(Echo.run, own).result() == f"{SECRET} {SECRET[::-1]}"
        assert await both.get_workflow_handle_for(Echo.run, plain.id).result() == f"{SECRET} x"
    history = await both.get_workflow_handle(own).fetch_history()
    stored = history.to_json()
    raw = b"".join(event.SerializeToString() for event in history.events)
    for word in (SECRET, SECRET[::-1]):
        assert word not in stored
        assert word.encode() not in raw
    ids = {PayloadEncryption.of(key).key_id or "" for key in (old, new)}
    assert all(each.encode() in raw for each in ids), "each key encrypted a part of it"
    replayer = Replayer(workflows=[Echo], plugins=[MastheadPlugin()])
    await replayer.replay_workflow(history)
    for keys, words in (
        (new_key(), r"encrypted with the key \w{12}, which MASTHEAD_PAYLOAD_KEY does not hold"),
        (None, "which MASTHEAD_PAYLOAD_KEY is not set to"),
    ):
        other = await client_with(temporal_address, monkeypatch, keys)
        with pytest.raises(PayloadKeyError, match=words):
            await other.get_workflow_handle_for(Echo.run, own).result()
    assert handle.id == own


def test_a_key_that_is_none_is_told_by_its_place_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PayloadKeyError, match="MASTHEAD_PAYLOAD_KEY: key 2 is not 32 bytes") as told:
        PayloadEncryption.of(f"{new_key()}, hush-hush")
    assert "hush" not in str(told.value)
    monkeypatch.setenv("MASTHEAD_PAYLOAD_KEY", "hush-hush")
    assert run(["codec-server"]) == 2
    assert "hush" not in capsys.readouterr().err


def test_what_was_changed_does_not_open() -> None:
    codec = PayloadEncryption.of(new_key())
    sealed = codec.encrypt(Payload(metadata={"encoding": b"json/plain"}, data=b'"x"'))
    assert codec.decrypt(sealed).data == b'"x"'
    sealed.data = sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])
    with pytest.raises(PayloadKeyError, match="has been changed"):
        codec.decrypt(sealed)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, PayloadEncryption]]:
    """The address of a codec server, and its keys."""
    key = new_key()
    monkeypatch.setenv("MASTHEAD_PAYLOAD_KEY", key)
    port = choose_port(0)
    process = subprocess.Popen(
        [sys.executable, "-m", "runtime.cli.app", "codec-server", "--port", str(port)], stdout=subprocess.PIPE
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/health").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until("the codec server answers", answers)
        yield url, PayloadEncryption.of(key)
    finally:
        process.terminate()
        process.wait(10)


def test_the_web_ui_is_shown_what_is_encrypted(server: tuple[str, PayloadEncryption]) -> None:
    url, codec = server
    plain = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(SECRET).encode())
    asked = MessageToDict(Payloads(payloads=[codec.encrypt(plain), plain]))
    ui = {"origin": "http://127.0.0.1:8233", "x-namespace": NAMESPACE}
    answer = httpx.post(f"{url}/decode", json=asked, headers=ui)
    assert answer.status_code == 200
    assert answer.json() == MessageToDict(Payloads(payloads=[plain, plain]))
    assert answer.headers["access-control-allow-origin"] == ui["origin"]
    sealed = httpx.post(f"{url}/encode", json=answer.json(), headers=ui).json()
    assert httpx.post(f"{url}/decode", json=sealed, headers=ui).json() == answer.json()
    preflight = httpx.options(
        f"{url}/decode",
        headers=ui
        | {"access-control-request-method": "POST", "access-control-request-headers": "x-namespace"},
    )
    assert preflight.status_code == 200
    stranger = httpx.post(f"{url}/decode", json=asked, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers
    assert httpx.post(f"{url}/decode", json=asked, headers={"host": "evil.example"}).status_code == 400
    assert httpx.post(f"{url}/decode", content=json.dumps(asked)).status_code == 415
    assert httpx.post(f"{url}/decode", json={"payloads": 3}).status_code == 400
    other = PayloadEncryption.of(new_key())
    unknown = httpx.post(f"{url}/decode", json=MessageToDict(Payloads(payloads=[other.encrypt(plain)])))
    assert unknown.status_code == 422
    assert str(other.key_id) in unknown.json()["message"]


async def test_away_from_this_machine_it_asks_for_its_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from runtime.codec_server import codec_app

    monkeypatch.setenv("MASTHEAD_PAYLOAD_KEY", new_key())
    assert run(["codec-server", "--host", "0.0.0.0"]) == 2
    assert "MASTHEAD_CODEC_TOKEN" in capsys.readouterr().err
    app = codec_app(PayloadEncryption.of(new_key()), origins=[], token="sesame-sesame-16")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://codec.example"
    ) as client:
        assert (await client.post("/decode", json={})).status_code == 401
        given = {"authorization": "Bearer sesame-sesame-16"}
        assert (await client.post("/decode", json={}, headers=given)).status_code == 200
