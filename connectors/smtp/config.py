"""How a mail server is reached."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from connectors.sdk.config import Config, Secret


class SmtpConfig(Config):
    """A mail server, and who we are to it."""

    host: str = Field(description="The mail server's name, as in smtp.example.com")
    port: int = Field(default=587, ge=1, le=65535, description="587 for STARTTLS, 465 for TLS from the start")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the conversation is encrypted; none is for a sandbox only"
    )
    username: str | None = Field(default=None, description="The login, where the server wants one")
    password: Secret | None = Field(default=None, description="Where the password is: env:NAME or file:/path")
    domain: str = Field(
        default="masthead.invalid",
        pattern=r"^[A-Za-z0-9.-]+$",
        description="Our domain: ends every Message-ID",
    )

    @model_validator(mode="after")
    def _fits(self) -> SmtpConfig:
        if (self.username is None) != (self.password is None):
            raise ValueError("give username and password, or neither")
        if self.security == "none" and self.host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("security none would send mail and password in the clear: use starttls or tls")
        return self
