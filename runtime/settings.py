"""What the environment may say, read once and checked with a message that names the variable."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

CONFIG_NAME = "masthead.yaml"

# Who reads a setting: the embedded stack, the command line, worker processes, the API.
UP, CLI, WORKER, API = "masthead up", "masthead", "worker", "API"


class SettingsError(ValueError):
    """A variable of the environment has a value that cannot be used. The message names the variable."""


def _processors() -> int:
    """Processors this process may use, which in a container are fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_by(*parts: str, unset: str | None = None, or_file: bool = False) -> dict[str, Any]:
    """What `masthead settings` says of a field beside its description. unset: what holds without it. or_file: whether
    NAME_FILE may name a file that holds the value, as container platforms mount secrets."""
    return {"read_by": parts, "unset": unset, "or_file": or_file}


class _NamedFiles(PydanticBaseSettingsSource):
    """The values of NAME_FILE variables, for the fields that may be given so. NAME itself wins."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The content of the file without white space around it, None where no file is named. Raises SettingsError."""
        name = str(field.alias)
        extra = field.json_schema_extra
        may = isinstance(extra, dict) and extra.get("or_file") is True
        if not may or os.environ.get(name) or not (file := os.environ.get(f"{name}_FILE")):
            return None, name, False
        try:
            text = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SettingsError(f"{name}_FILE: {file} cannot be read: {reason}") from None
        if not text:
            raise SettingsError(f"{name}_FILE: {file} is empty")
        return text, name, False

    def __call__(self) -> dict[str, Any]:
        """The values found, by the names of their variables."""
        found = (self.get_field_value(field, name) for name, field in self.settings_cls.model_fields.items())
        return {name: value for value, name, _ in found if value is not None}


class Settings(BaseSettings):
    """Settings of one process. Every field has one environment variable, named by its alias."""

    # No population by field name: pydantic-settings would then read $HOME for the field `home`.
    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    home: Path = Field(
        default=Path(".masthead"),
        alias="MASTHEAD_HOME",
        validate_default=True,
        description="The folder of the first API key, of logs, and of the embedded stack's data. A worker leaves a "
        "mark there while it works, so give each container a folder of its own.",
        json_schema_extra=_read_by(UP, CLI, WORKER),
    )
    database_url: str | None = Field(
        default=None,
        alias="DATABASE_URL",
        repr=False,
        description="A Postgres 18 of your own, as postgresql://USER:PASSWORD@HOST:PORT/DATABASE; no pooler in "
        "transaction mode.",
        json_schema_extra=_read_by(UP, CLI, WORKER, API, unset="the embedded one", or_file=True),
    )
    temporal_address: str | None = Field(
        default=None,
        alias="TEMPORAL_ADDRESS",
        description="A Temporal of your own, as HOST:PORT.",
        json_schema_extra=_read_by(UP, CLI, WORKER, API, unset="the embedded one"),
    )
    temporal_namespace: str = Field(
        default="masthead",
        alias="TEMPORAL_NAMESPACE",
        min_length=1,
        description="The namespace in Temporal.",
        json_schema_extra=_read_by(UP, CLI, WORKER, API),
    )
    workers: int = Field(
        default_factory=_processors,
        alias="MASTHEAD_WORKERS",
        ge=0,
        le=64,
        description="Worker processes that the stack starts; 0 where workers run elsewhere.",
        json_schema_extra=_read_by(UP, CLI, unset="one a processor"),
    )
    worker_activities: int = Field(
        default=4,
        alias="MASTHEAD_WORKER_ACTIVITIES",
        ge=1,
        le=200,
        description="Activities on the books that one worker process carries out at once.",
        json_schema_extra=_read_by(WORKER),
    )
    api_host: str = Field(
        default="127.0.0.1",
        alias="MASTHEAD_API_HOST",
        description="The address on which an API of its own listens (the stack's is on 127.0.0.1 always). Another one "
        "belongs behind a proxy with TLS, or into a container.",
        json_schema_extra=_read_by(API),
    )
    api_port: int = Field(
        default=8484,
        alias="MASTHEAD_API_PORT",
        ge=1,
        le=65535,
        description="The API's port; the stack takes another where it is taken.",
        json_schema_extra=_read_by(UP, API),
    )
    temporal_port: int = Field(
        default=7233,
        alias="MASTHEAD_TEMPORAL_PORT",
        ge=1,
        le=65535,
        description="The embedded Temporal's port; another where it is taken.",
        json_schema_extra=_read_by(UP),
    )
    temporal_ui_port: int = Field(
        default=8233,
        alias="MASTHEAD_TEMPORAL_UI_PORT",
        ge=1,
        le=65535,
        description="The port of the embedded Temporal's Web UI; another where it is taken.",
        json_schema_extra=_read_by(UP),
    )
    retention_days: int = Field(
        default=30,
        alias="MASTHEAD_RETENTION_DAYS",
        ge=1,
        le=3650,
        description="How many days Temporal keeps workflows that have ended.",
        json_schema_extra=_read_by(UP, CLI),
    )
    config_file: Path | None = Field(
        default=None,
        alias="MASTHEAD_CONFIG",
        validate_default=True,
        description="The file of connections; own flows lie in `flows/` beside it.",
        json_schema_extra=_read_by(
            UP, CLI, WORKER, unset="`masthead.yaml` where one is in the working folder"
        ),
    )
    templates: Path | None = Field(
        default=None,
        alias="MASTHEAD_TEMPLATES",
        description="A folder of own templates of invoices and mails, own words and fonts, which take the place of "
        "ours by the same names.",
        json_schema_extra=_read_by(CLI, WORKER, API, unset="ours alone"),
    )
    sandbox_port: int = Field(
        default=8090,
        alias="MASTHEAD_SANDBOX_PORT",
        ge=1,
        le=65535,
        description="The port of the stack's sandbox; another where it is taken.",
        json_schema_extra=_read_by(UP),
    )
    sandbox_url: str | None = Field(
        default=None,
        alias="MASTHEAD_SANDBOX_URL",
        description="A sandbox that runs already, as http://127.0.0.1:PORT.",
        json_schema_extra=_read_by(UP, CLI, WORKER, unset="the stack's own"),
    )
    secret_key: str | None = Field(
        default=None,
        alias="MASTHEAD_SECRET_KEY",
        repr=False,
        description="Encrypts stored credentials: a key of `masthead connectors keygen`, the same for every process; "
        "several with commas between them while keys change, the newest first.",
        json_schema_extra=_read_by(CLI, WORKER, API, unset="nothing can be stored encrypted", or_file=True),
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto",
        alias="MASTHEAD_LOG_FORMAT",
        description="How worker and API write their log: `console` for people, `json` for one object a line, `auto` "
        "for the first on a terminal and the second elsewhere.",
        json_schema_extra=_read_by(WORKER, API),
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        alias="MASTHEAD_LOG_LEVEL",
        description="The least that is logged: `debug`, `info`, `warning` or `error`.",
        json_schema_extra=_read_by(WORKER, API),
    )
    metrics_address: str = Field(
        default="127.0.0.1:9464",
        alias="MASTHEAD_METRICS_ADDRESS",
        description="Where each process answers `/metrics`, `/health/live` and `/health/ready`, as HOST:PORT; the next "
        "free port where it is taken. It asks for no key: keep it inside your network. `off` for nowhere.",
        json_schema_extra=_read_by(WORKER, API),
    )
    traces_endpoint: str | None = Field(
        default=None,
        alias="MASTHEAD_TRACES_ENDPOINT",
        description="Where spans of requests, workflows and calls are sent by OTLP over HTTP, as "
        "http://127.0.0.1:4318/v1/traces.",
        json_schema_extra=_read_by(WORKER, API, unset="no traces"),
    )
    payload_key: str | None = Field(
        default=None,
        alias="MASTHEAD_PAYLOAD_KEY",
        repr=False,
        description="Encrypts what Temporal stores: a key of `masthead connectors keygen`, the same for every process; "
        "several with commas between them while keys change, the newest first.",
        json_schema_extra=_read_by(CLI, WORKER, API, unset="Temporal stores it as it is", or_file=True),
    )
    codec_token: str | None = Field(
        default=None,
        alias="MASTHEAD_CODEC_TOKEN",
        repr=False,
        min_length=16,
        description="The bearer token that `masthead codec-server` asks for.",
        json_schema_extra=_read_by(
            CLI, unset="it asks for none, and listens on this machine only", or_file=True
        ),
    )
    allow_loopback: bool = Field(
        default=False,
        alias="MASTHEAD_ALLOW_LOOPBACK",
        description="Whether subscribers' webhook endpoints may be on this machine: for trying out only.",
        json_schema_extra=_read_by(CLI, WORKER, API),
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What a caller says, then the environment, then the files that it names."""
        return init_settings, env_settings, _NamedFiles(settings_cls)

    @property
    def metrics_endpoint(self) -> tuple[str, int] | None:
        """Address and first port of `metrics_address`; None where it is off."""
        if self.metrics_address == "off":
            return None
        host, _, port = self.metrics_address.rpartition(":")
        return host, int(port)

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for a process that shall have the same."""
        return {
            str(field.alias): "" if (value := getattr(self, name)) is None else str(value)
            for name, field in type(self).model_fields.items()
        }

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @field_validator("templates")
    @classmethod
    def _a_folder(cls, folder: Path | None) -> Path | None:
        if folder is None:
            return None
        folder = folder.expanduser().resolve()
        if not folder.is_dir():
            raise ValueError("must be a folder that is there")
        return folder

    @field_validator("config_file")
    @classmethod
    def _beside_us(cls, file: Path | None) -> Path | None:
        """Absolute, for children run in other folders; ./masthead.yaml where it is there and no other is named."""
        if file is None:
            file = Path(CONFIG_NAME)
            return file.resolve() if file.exists() else None
        return file.expanduser().resolve()

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, url: str | None) -> str | None:
        """The URL in libpq's form. Refuses every scheme that is not Postgres."""
        if url is None:
            return None
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
            raise ValueError("must start with postgresql:// or postgresql+psycopg://")
        return f"postgresql://{rest}"

    @field_validator("api_host")
    @classmethod
    def _an_address(cls, host: str) -> str:
        try:
            return str(ip_address(host))
        except ValueError:
            raise ValueError("must be an IP address, as 127.0.0.1 or 0.0.0.0") from None

    @field_validator("metrics_address")
    @classmethod
    def _an_endpoint(cls, address: str) -> str:
        host, _, port = address.rpartition(":")
        try:
            if address == "off" or (ip_address(host) and 0 < int(port) < 65536):
                return address
        except ValueError:
            pass
        raise ValueError("must be an IP address and a port, as 127.0.0.1:9464, or off")

    @field_validator("traces_endpoint")
    @classmethod
    def _a_url(cls, url: str | None) -> str | None:
        if url is None or url.startswith(("http://", "https://")):
            return url
        raise ValueError("must be a URL, as http://127.0.0.1:4318/v1/traces")

    @field_validator("temporal_address")
    @classmethod
    def _host_and_port(cls, address: str | None) -> str | None:
        if address is None:
            return None
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or "/" in address:
            raise ValueError("must be HOST:PORT, as in 127.0.0.1:7233")
        return address


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; `overrides`, by field name, win over the environment.

    Raises SettingsError naming each variable that has an unusable value, never the value itself, which may
    hold a password.
    """
    try:
        return Settings(**{_alias(name): value for name, value in overrides.items()})
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("; ".join(lines)) from None


def _alias(field: str) -> str:
    return str(Settings.model_fields[field].alias)
