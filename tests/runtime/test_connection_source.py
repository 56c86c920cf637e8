"""masthead.yaml: every mistake is told at once, at its line, and nothing that may be a secret is repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, field_validator

from connectors.sdk.capabilities.mail import Mail, Mailer, MailReceipt
from connectors.sdk.config import Config, Secret
from connectors.sdk.connector import Connector
from connectors.sdk.idempotency import never
from connectors.sdk.key import Key
from connectors.sdk.memory import EnvSecrets
from connectors.sdk.ports import Rate
from connectors.sdk.registry import Installed
from runtime.connection_source import ConnectionSpec, Surroundings, parsed_rate, read_connections
from runtime.yaml_source import DocumentError

SECRETS = EnvSecrets({"POST_KEY": "hush", "SANDBOX_SECRET": "any"})
PASTED = "sk_live_51NotForAnybody"


class PostConfig(Config):
    base_url: str = Field(description="Where it is")
    api_key: Secret = Field(description="Its key")
    second_key: Secret | None = None
    retries: int = 3
    tone: str = "plain"

    @field_validator("tone")
    @classmethod
    def _known(cls, tone: str) -> str:
        if tone != "plain":
            raise ValueError(f"{tone} is no tone")
        return tone


class Post(Connector[PostConfig], Mailer):
    name = "post"

    @never()
    async def send(self, mail: Mail, key: Key) -> MailReceipt:
        raise NotImplementedError


def installed(*_: Any) -> list[Installed]:
    return [
        Installed("post", "entry point post:Post", Post),
        Installed("broken", "entry point broken:Broken", None, "it cannot be imported: SyntaxError: x"),
    ]


def surroundings(**changes: Any) -> Surroundings:
    given: dict[str, Any] = {"installed": installed, "secrets": SECRETS, **changes}
    return Surroundings(**given)


def read(folder: Path, text: str, **changes: Any) -> dict[str, ConnectionSpec]:
    file = folder / "masthead.yaml"
    file.write_text(text)
    return read_connections(file, surroundings(**changes))


def told(folder: Path, text: str, **changes: Any) -> list[str]:
    """What is said about a file, without its name."""
    with pytest.raises(DocumentError) as caught:
        read(folder, text, **changes)
    lines = caught.value.lines()
    assert PASTED not in "\n".join(lines)
    return [line.removeprefix(f"{folder / 'masthead.yaml'}:") for line in lines]


GOOD = """\
connections:
  news:
    connector: post
    mode: live
    rate: 100/10s
    timeout: 2.5
    flows: [subscribers]
    config: {base_url: https://post.example, api_key: env:POST_KEY}
  trial:
    connector: post
    mode: test
    enabled: false
    config: {base_url: http://127.0.0.1:8090/post, api_key: env:NOT_SET}
"""


def test_a_good_file_gives_its_connections_in_order(tmp_path: Path) -> None:
    news, trial = read(tmp_path, GOOD).values()
    assert news.config == PostConfig(base_url="https://post.example", api_key=Secret("env:POST_KEY"))
    assert (news.name, news.connector, news.mode, news.enabled) == ("news", Post, "live", True)
    assert (news.rate, news.timeout, news.flows) == (Rate(100, per=10), 2.5, ("subscribers",))
    assert (news.allow_loopback, trial.allow_loopback) == (False, True)
    assert (trial.enabled, trial.rate) == (False, None)


def test_all_mistakes_are_told_at_once_each_at_its_line(tmp_path: Path) -> None:
    text = f"""\
connections:
  News!:
    connector: post
    mode: live
    config: {{base_url: https://post.example, api_key: env:POST_KEY}}
  letters:
    connector: pots
    mode: alive
    rate: 10
    flows: subscribers
    api_key: {PASTED}
  post:
    connector: post
    mode: live
    rate: fast
    api_key: env:POST_KEY
    mod: live
    config:
      base_url: http://localhost:8090
      api_kee: {PASTED}
      api_key: {PASTED}
      second_key: 12345678
      retries: {PASTED}
      tone: {PASTED}
  parcels:
    connector: broken
    mode: test
  empty:
"""
    lines = told(tmp_path, text)
    hint = "write a reference, env:NAME or file:/absolute/path, not the secret itself"
    assert lines == [
        "2: connections.News!: a connection's name has lower-case letters, digits, - and _, and begins with a letter",
        "7: connections.letters.connector: no connector is called 'pots'; did you mean 'post'?"
        " (`masthead connectors list` shows them)",
        "8: connections.letters.mode: must be live or test",
        "9: connections.letters.rate: write calls per time, as in 10/s",
        "10: connections.letters.flows: must be a list of names (lines that begin with '- ')",
        "11: connections.letters.api_key: is not a field here; there are: config, connector, enabled, flows, mode,"
        " rate, sandbox, timeout",
        "15: connections.post.rate: write calls per time, as in 10/s, 100/10s, 600/min, 1000/h or 100000/day",
        "16: connections.post.api_key: is a field of the configuration: put it under config: of post",
        "17: connections.post.mod: is not a field here; did you mean 'mode'?",
        "20: connections.post.config.api_kee: is not a field of the configuration of post; did you mean 'api_key'?",
        f"21: connections.post.config.api_key: {hint} (Its key)",
        f"22: connections.post.config.second_key: {hint}",
        "23: connections.post.config.retries: input should be a valid integer, unable to parse string as an integer",
        "24: connections.post.config.tone: … is no tone",
        "26: connections.parcels.connector: connector broken (entry point broken:Broken) cannot be used:"
        " it cannot be imported: SyntaxError: x",
        "28: connections.empty: must be a block of fields: connector, mode and config",
    ]


def one(**config: str) -> str:
    fields = {"base_url": "https://post.example", "api_key": "env:POST_KEY", **config}
    listed = "".join(f"\n      {name}: {value}" for name, value in fields.items() if value)
    return f"connections:\n  post:\n    connector: post\n    mode: live\n    config:{listed}\n"


def test_what_is_missing_is_told_with_its_description(tmp_path: Path) -> None:
    assert told(tmp_path, one(base_url="")) == [
        "5: connections.post.config.base_url: is missing; it is required (Where it is)"
    ]
    assert told(tmp_path, "connections:\n  post: {connector: post}\n") == [
        "2: connections.post.config.api_key: is missing; it is required (Its key)",
        "2: connections.post.config.base_url: is missing; it is required (Where it is)",
        "2: connections.post.mode: is missing; it is required: live or test",
    ]


def test_a_secret_that_leads_nowhere_is_named_by_its_reference(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert told(tmp_path, one(api_key="env:NOT_SET", second_key=f"file:{gone}")) == [
        "7: connections.post.config.api_key: there is no secret at env:NOT_SET: set the environment variable",
        f"8: connections.post.config.second_key: there is no secret at file:{gone}: put the secret into the file",
    ]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "https://localhost/x",
            "localhost: this connection may not reach this machine; only one in test mode may",
        ),
        (
            "https://127.1.2.3",
            "127.1.2.3: this connection may not reach this machine; only one in test mode may",
        ),
        ("https://10.0.0.7", "10.0.0.7 is not an address on the public internet"),
        ("http://post.example", "post.example: use https; plain http is for this machine only"),
    ],
)
def test_a_live_connection_reaches_the_public_internet_only(tmp_path: Path, address: str, said: str) -> None:
    assert told(tmp_path, one(base_url=address)) == [f"6: connections.post.config.base_url: {said}"]


def test_names_stand_once_and_the_top_level_is_checked(tmp_path: Path) -> None:
    assert told(tmp_path, "connections:\n  a: {}\n  a: {}\n") == [
        "3: connections.a: stands here twice; the first is on line 2"
    ]
    assert told(tmp_path, "conections: {}\n") == [
        "1: conections: is not a field here; connections stand under connections:, each with a name of its own"
    ]
    assert told(tmp_path, "connectors: [own.connector.yaml]\n") == [
        "1: connectors[0]: there is no such file; the path is followed from this folder"
    ]


def test_flows_are_checked_against_those_that_the_connector_has(tmp_path: Path) -> None:
    assert told(tmp_path, GOOD, flows=lambda connector: {"subscriber", f"of-{connector.name}"}) == [
        "7: connections.news.flows[0]: no flow of post is called 'subscribers'; did you mean 'subscriber'?"
    ]
    assert len(read(tmp_path, GOOD, flows=lambda _: {"subscribers"})) == 2


SANDBOXED = "connections:\n  post:\n    connector: post\n    sandbox: true\n"


def test_a_sandboxed_connection_needs_no_configuration(tmp_path: Path) -> None:
    (spec,) = read(tmp_path, SANDBOXED, sandbox=lambda name: f"http://127.0.0.1:8090/{name}").values()
    assert (spec.mode, spec.allow_loopback, spec.sandbox) == ("test", True, True)
    assert spec.config == PostConfig(
        base_url="http://127.0.0.1:8090/post", api_key=Secret("env:SANDBOX_SECRET")
    )


def test_while_no_sandbox_runs_the_rest_of_it_is_checked(tmp_path: Path) -> None:
    (spec,) = read(tmp_path, SANDBOXED).values()
    assert spec.config is None
    assert told(tmp_path, SANDBOXED + "    config: {tune: x}\n") == [
        "5: connections.post.config.tune: is not a field of the configuration of post; did you mean 'tone'?"
    ]


def test_a_sandbox_is_never_live_and_must_have_the_stand_in(tmp_path: Path) -> None:
    assert told(tmp_path, SANDBOXED + "    mode: live\n") == [
        "5: connections.post.mode: a sandbox is no live system: write mode: test, or take sandbox: true away"
    ]

    def without(name: str) -> str:
        raise LookupError(f"no stand-in is called {name!r}; there are: stripe")

    assert told(tmp_path, SANDBOXED, sandbox=without) == [
        "4: connections.post.sandbox: no stand-in is called 'post'; there are: stripe"
    ]


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", Rate(10)),
        ("100/10s", Rate(100, per=10)),
        ("600/min", Rate(600, per=60)),
        ("1000 / h", Rate(1000, per=3600)),
        ("1000 per h", Rate(1000, per=3600)),
        ("100000/day", Rate(100_000, per=86_400)),
        ("0/s", None),
        ("10/0s", None),
        ("ten/s", None),
    ],
)
def test_a_rate_reads_as_calls_per_time(text: str, rate: Rate | None) -> None:
    if rate is None:
        with pytest.raises(ValueError, match="calls per time"):
            parsed_rate(text)
    else:
        assert parsed_rate(text) == rate


def test_a_fingerprint_changes_with_the_configuration_only(tmp_path: Path) -> None:
    (before,) = read(tmp_path, one()).values()
    (slower,) = read(tmp_path, one().replace("mode: live", "mode: live\n    rate: 1/s")).values()
    (other,) = read(tmp_path, one(retries="4")).values()
    assert before.fingerprint == slower.fingerprint != other.fingerprint
