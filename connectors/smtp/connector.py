"""Sending mail over SMTP (RFC 5321), one conversation a mail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiosmtplib

from connectors.sdk import request_log
from connectors.sdk.bridges.sockets import guarded_socket
from connectors.sdk.capabilities.mail import Mail, Mailer, MailReceipt
from connectors.sdk.connector import SANDBOX_SECRET, Connector
from connectors.sdk.context import Rehearsed
from connectors.sdk.errors import ConnectorError, Rejected, Transient, Unauthorized, Unknown
from connectors.sdk.idempotency import never
from connectors.sdk.key import Key
from connectors.sdk.values import Health
from connectors.smtp.config import SmtpConfig
from connectors.smtp.message import address_of, message_id, rendered

TIMEOUT_SECONDS = 30.0


class Smtp(Connector[SmtpConfig], Mailer):
    """Any SMTP server. A mail server has no idempotency: a mail of unknown outcome is not sent again by itself."""

    name = "smtp"
    title = "SMTP mail server"
    transport = "smtp"

    @classmethod
    def sandbox_config(cls, url: str) -> dict[str, Any]:
        """The configuration for a stand-in at smtp://host:port."""
        host, _, port = url.removeprefix("smtp://").partition(":")
        login = {"username": "masthead", "password": SANDBOX_SECRET}
        return {"host": host, "port": int(port), "security": "none", **login}

    @never()
    async def send(self, mail: Mail, key: Key) -> MailReceipt:
        """Hand a mail over. 4yz is Transient, 5yz Rejected; no reply once the text is on its way is Unknown."""
        content = rendered(mail, key, self.config.domain)
        sender, to = address_of(mail.sender, "sender"), address_of(mail.to, "to")
        async with self._conversation("SEND") as talk:
            await talk.step("MAIL", talk.client.mail(sender))
            await talk.step("RCPT", talk.client.rcpt(to))
            reply = await talk.step("DATA", talk.client.data(content), writing=True)
        return MailReceipt(message_id=message_id(key, self.config.domain), reply=reply)

    async def health(self) -> Health:
        """Connect, log in, and leave again; no mail is sent."""
        try:
            async with self._conversation("CHECK") as talk:
                await talk.step("NOOP", talk.client.noop())
        except ConnectorError as error:
            return Health(ok=False, detail=error.message)
        return Health(ok=True, detail=f"{self.config.host} takes mail")

    @asynccontextmanager
    async def _conversation(self, purpose: str) -> AsyncIterator[_Talk]:
        config = self.config
        if self.context.rehearsing:
            raise Rehearsed(purpose, f"smtp://{config.host}:{config.port}", None)
        patience = self.context.timeout or TIMEOUT_SECONDS
        began, outcome = time.perf_counter(), "canceled"
        at = self.context.clock.now()
        client: aiosmtplib.SMTP | None = None
        try:
            client = await self._connected(patience)
            yield _Talk(client, config.host)
            outcome = "250"
        except ConnectorError as error:
            outcome = str(error.status or error.kind)
            raise
        finally:
            if client is not None:
                client.close()
            await request_log.write(
                self.context,
                request_log.Logged(
                    at=at,
                    method=purpose,
                    url=f"smtp://{config.host}:{config.port}",
                    outcome=outcome,
                    milliseconds=round((time.perf_counter() - began) * 1000),
                    tries=1,
                    sent=(b"", ""),
                    got=(b"", ""),
                    personal=(),
                ),
            )

    async def _connected(self, patience: float) -> aiosmtplib.SMTP:
        """A client that has connected, encrypted and logged in. Raises Transient or Unauthorized."""
        config = self.config
        sock = await guarded_socket(self.context, config.host, config.port, patience)
        client = aiosmtplib.SMTP(
            hostname=config.host,
            port=None,
            sock=sock,
            timeout=patience,
            use_tls=config.security == "tls",
            start_tls=config.security == "starttls",
            local_hostname=config.domain,
        )
        talk = _Talk(client, config.host)
        try:
            await talk.step("CONNECT", client.connect())
            if config.username is not None:
                await talk.step("AUTH", client.login(config.username, self.secret("password")))
        except BaseException:
            client.close()
            sock.close()
            raise
        return client


class _Talk:
    """The steps of one conversation, each of which ends in a reply or in one of our errors."""

    def __init__(self, client: aiosmtplib.SMTP, host: str) -> None:
        self.client = client
        self._host = host

    async def step(self, name: str, reply: Any, *, writing: bool = False) -> str:
        """Wait for the reply of one step. The server's words may repeat an address, so only codes are told."""
        try:
            answered = await reply
        except aiosmtplib.SMTPAuthenticationError as error:
            if 400 <= error.code < 500:
                # RFC 4954: 454 is a failure for now, as when the server cannot reach its list of users.
                raise self._refused(name, error.code, error.message) from None
            raise Unauthorized(
                f"{self._host} refuses the login ({error.code}); authorise the connection anew",
                status=error.code,
            ) from None
        except aiosmtplib.SMTPResponseException as error:
            raise self._refused(name, error.code, error.message) from None
        except (aiosmtplib.SMTPException, OSError, asyncio.IncompleteReadError) as error:
            if writing:
                raise Unknown(
                    f"{self._host} gave no reply after the mail's text ({type(error).__name__}): it may have been sent"
                ) from None
            raise Transient(
                f"{self._host} ended the conversation at {name} ({type(error).__name__})"
            ) from None
        return f"{answered.code} {_enhanced(answered.message)}".strip() if hasattr(answered, "code") else ""

    def _refused(self, name: str, code: int, words: str) -> ConnectorError:
        enhanced = _enhanced(words)
        told = f"{self._host} answered {code}{' ' + enhanced if enhanced else ''} at {name}"
        if code in (530, 534, 535, 538):
            return Unauthorized(f"{told}: it refuses the login", code=enhanced or str(code), status=code)
        if 400 <= code < 500:
            return Transient(f"{told}: not now", code=enhanced or str(code), status=code)
        field = {"RCPT": "to", "MAIL": "sender"}.get(name, "mail")
        return Rejected(
            f"{told}: it refuses the {field}",
            code=enhanced or str(code),
            fields={field: str(code)},
            status=code,
        )


def _enhanced(words: str) -> str:
    """The enhanced status code (RFC 3463) at the start of a reply: 5.1.1; nothing else of its words."""
    first = words.split(maxsplit=1)[0] if words.split() else ""
    return first if first.replace(".", "").isdigit() and first.count(".") == 2 else ""
