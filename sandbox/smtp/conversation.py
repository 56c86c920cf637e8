"""One SMTP conversation: aiosmtpd's protocol with the faults put in at their steps."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping
from typing import Any, AnyStr, Protocol

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session

from sandbox.calls import Recorded
from sandbox.faults import Fault
from sandbox.smtp.faults import REPLIES

#: As a password: whatever comes.
ANY = "*"

# aiosmtpd writes every command to this log, addresses included, and warns of its own use of Session.login_data.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class MailHost(Protocol):
    """What a conversation needs of the stand-in: logins, faults, and somebody who writes down and keeps."""

    users: Mapping[str, str]
    auth_required: bool

    def step(self, name: str, subject: str) -> tuple[Recorded, Fault | None]:
        """Record a step of a conversation, and take the fault that it meets."""

    def keep(self, raw: bytes, envelope: Envelope, session: Session) -> str:
        """Keep a message; its Message-ID."""

    async def hold(self, seconds: float) -> None:
        """Stall until released or until `seconds` are over."""


class Conversation(SMTP):
    """aiosmtpd's server protocol whose greeting may be a refusal."""

    def __init__(self, host: MailHost, **options: Any) -> None:
        steps = Steps(host)
        super().__init__(steps, authenticator=steps.authenticate, **options)
        self._steps = steps
        self._greeted = False

    async def push(self, status: AnyStr) -> None:
        """Send one reply; in place of the greeting, the refusal that waits at CONNECT."""
        if not self._greeted:
            self._greeted = True
            refusal = await self._steps.meet(self, "CONNECT", "")
            if refusal is not None:
                return await self.push(refusal)
        await super().push(status)
        if status == REPLIES["unavailable"] and self.transport is not None:
            self.transport.close()  # a 421 ends the conversation (RFC 5321, 3.8)
            await _until_gone()
        return None

    async def end(self) -> None:
        """Abort the connection and wait until its task is over."""
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
            await asyncio.gather(self._handler_coroutine, return_exceptions=True)


class Steps:
    """What aiosmtpd calls at each step; it finds the hooks by their names."""

    def __init__(self, host: MailHost) -> None:
        self._host = host
        # Clients try one mechanism after the other: a refusal holds for the conversation.
        self._no_login: str | None = None

    async def meet(self, server: SMTP, step: str, subject: str) -> str | None:
        """The refusal that waits at this step, None when none does. A drop or a stall does not return."""
        recorded, fault = self._host.step(step, subject)
        if fault is None:
            return None
        if fault.fault in REPLIES:
            return _told(recorded, REPLIES[fault.fault])
        await self._silence(server, fault)
        return None

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, replies: list[str]
    ) -> list[str]:
        """Offer AUTH only where somebody could log in."""
        session.host_name = hostname
        return replies if self._host.users else [line for line in replies if not line.startswith("250-AUTH")]

    async def handle_AUTH(self, server: SMTP, session: Session, envelope: Envelope, args: list[str]) -> Any:
        """The refusal that waits for a login, else aiosmtpd's own LOGIN and PLAIN."""
        if self._no_login is None:
            self._no_login = await self.meet(server, "AUTH", args[0])
        return self._no_login or MISSING

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the sender."""
        if self._host.auth_required and not session.authenticated:
            return "530 5.7.0 Authentication required"
        refusal = await self.meet(server, "MAIL", address)
        if refusal is not None:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take one recipient."""
        refusal = await self.meet(server, "RCPT", address.lower())
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the message, unless a fault comes first."""
        recorded, fault = self._host.step("DATA", "")
        name = fault.fault if fault else ""
        if name in REPLIES:
            return _told(recorded, REPLIES[name])
        if fault is not None and name in ("drop_before", "stall_before"):
            await self._silence(server, fault)
        recorded.path = self._host.keep(envelope.original_content or b"", envelope, session)
        if fault is not None:
            await self._silence(server, fault)
        return _told(recorded, "250 2.0.0 Message accepted")

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        """Whether login and password belong together."""
        known = self._host.users.get(data.login.decode(errors="replace"))
        right = known is not None and (known == ANY or hmac.compare_digest(known.encode(), data.password))
        return AuthResult(success=right, handled=False, auth_data=data if right else None)

    async def _silence(self, server: SMTP, fault: Fault) -> None:
        if fault.lasting:
            await self._host.hold(fault.lasting)
        if server.transport is not None:
            server.transport.abort()  # type: ignore[attr-defined]
        await _until_gone()


def _told(recorded: Recorded, reply: str) -> str:
    recorded.status = int(reply[:3])
    return reply


async def _until_gone() -> None:
    """Wait for the cancellation that comes with the end of the connection."""
    await asyncio.get_running_loop().create_future()
