"""What the environment may say, read once and checked with a message that names the variable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

CONFIG_NAME = "masthead.yaml"


class SettingsError(ValueError):
    """A variable of the environment has a value that cannot be used. The message names the variable."""


def _processors() -> int:
    """Processors this process may use, which in a container are fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Settings(BaseSettings):
    """Settings of one process. Every field has one environment variable, named by its alias."""

    # No population by field name: pydantic-settings would then read $HOME for the field `home`.
    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    home: Path = Field(default=Path(".masthead"), alias="MASTHEAD_HOME", validate_default=True)
    database_url: str | None = Field(default=None, alias="DATABASE_URL")
    temporal_address: str | None = Field(default=None, alias="TEMPORAL_ADDRESS")
    temporal_namespace: str = Field(default="masthead", alias="TEMPORAL_NAMESPACE", min_length=1)
    workers: int = Field(default_factory=_processors, alias="MASTHEAD_WORKERS", ge=0, le=64)
    worker_activities: int = Field(default=4, alias="MASTHEAD_WORKER_ACTIVITIES", ge=1, le=200)
    api_port: int = Field(default=8484, alias="MASTHEAD_API_PORT", ge=1, le=65535)
    temporal_port: int = Field(default=7233, alias="MASTHEAD_TEMPORAL_PORT", ge=1, le=65535)
    temporal_ui_port: int = Field(default=8233, alias="MASTHEAD_TEMPORAL_UI_PORT", ge=1, le=65535)
    retention_days: int = Field(default=30, alias="MASTHEAD_RETENTION_DAYS", ge=1, le=3650)
    config_file: Path | None = Field(default=None, alias="MASTHEAD_CONFIG", validate_default=True)
    sandbox_port: int = Field(default=8090, alias="MASTHEAD_SANDBOX_PORT", ge=1, le=65535)
    sandbox_url: str | None = Field(default=None, alias="MASTHEAD_SANDBOX_URL")
    # Encrypts what opens other systems; several with commas between them, the newest first (storage.encryption).
    secret_key: str | None = Field(default=None, alias="MASTHEAD_SECRET_KEY", repr=False)
    # Whether subscribers' webhook endpoints may be on this machine: for a sandbox only.
    allow_loopback: bool = Field(default=False, alias="MASTHEAD_ALLOW_LOOPBACK")

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
