"""The mail server as a stand-in: SMTP on one port, the control and the inbox as pages on another."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, ClassVar

from aiosmtpd.smtp import Envelope, Session

from sandbox.calls import Answer, Call, Recorded, Refused, json_answer
from sandbox.faults import Fault
from sandbox.routes import route
from sandbox.smtp.certificate import local_tls
from sandbox.smtp.conversation import ANY, Conversation
from sandbox.smtp.faults import SmtpFault
from sandbox.smtp.mails import Arrival, Inbox, Mail
from sandbox.smtp.pages import inbox_page, mail_page
from sandbox.stand_in import StandIn

_HOST = "127.0.0.1"
_DEFAULT_MOST_BYTES = 10 * 1024 * 1024


class SmtpStandIn(StandIn):
    """A mail server on 127.0.0.1: `with SmtpStandIn() as s:` then send to (s.host, s.port) and read `s.inbox`.

    `users` (login → password) offers AUTH LOGIN and PLAIN and, unless `auth_required` is False, insists on it.
    `starttls` offers STARTTLS; clients trust `s.certificate`. `smtp_port` 0 takes a free port. `most_bytes` is the size
    that EHLO names. One effect "mail" per accepted delivery, keyed by its Message-ID. Steps of conversations are
    recorded like calls: method CONNECT, AUTH, MAIL, RCPT or DATA; path the sender, the recipient or the Message-ID.
    """

    system: ClassVar[str] = "smtp"
    title: ClassVar[str] = "Mail server"
    fault_type: ClassVar[type[Fault]] = SmtpFault

    def __init__(
        self,
        *,
        users: Mapping[str, str] | None = None,
        auth_required: bool | None = None,
        starttls: bool = False,
        smtp_port: int = 0,
        most_bytes: int = _DEFAULT_MOST_BYTES,
    ) -> None:
        self.users: Mapping[str, str] = dict(users or {})
        self.auth_required = bool(self.users) if auth_required is None else auth_required
        self.host = _HOST
        self.port = smtp_port
        self.most_bytes = most_bytes
        self.inbox = Inbox()
        self._tls: ssl.SSLContext | None = None
        #: PEM of the certificate that STARTTLS shows; empty without STARTTLS.
        self.certificate = ""
        if starttls:
            self._tls, self.certificate = local_tls()
        self._listening: asyncio.Server | None = None
        self._open: set[Conversation] = set()
        super().__init__()

    @property
    def address(self) -> str:
        """Where it takes mail: smtp://host:port."""
        return f"smtp://{self.host}:{self.port}"

    def reset(self) -> None:
        """An empty inbox."""
        super().reset()
        self.inbox.reset()

    async def opened(self) -> None:
        """Listen for mail; OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._conversation, self.host, self.port)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def closed(self) -> None:
        """Stop listening and end all conversations."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for conversation in list(self._open):
            await conversation.end()
        self._open.clear()

    def _conversation(self) -> Conversation:
        made = Conversation(
            self,
            hostname="sandbox.invalid",
            ident="Masthead sandbox mail",
            data_size_limit=self.most_bytes,
            enable_SMTPUTF8=True,
            tls_context=self._tls,
            auth_require_tls=self._tls is not None,
            loop=asyncio.get_running_loop(),
        )
        self._open = {known for known in self._open if known.transport is not None}
        self._open.add(made)
        return made

    # ---- what a conversation asks

    def step(self, name: str, subject: str) -> tuple[Recorded, Fault | None]:
        """Record a step, and take the fault that it meets."""
        fault = self.faults.take(name, subject)
        call = Call(name, subject, [], {}, b"", "", self.clock.now())
        recorded = self.record(call)
        recorded.fault = fault.fault if fault else None
        return recorded, fault

    def keep(self, raw: bytes, envelope: Envelope, session: Session) -> str:
        """Put a message into the inbox; its Message-ID."""
        arrival = Arrival(
            mail_from=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            at=self.clock.now(),
            encrypted=session.ssl is not None,
            login=session.auth_data.login.decode(errors="replace") if session.auth_data else None,
        )
        mail = self.inbox.keep(raw, arrival)
        self.effect("mail", mail.message_id, recipients=", ".join(mail.recipients), subject=mail.subject)
        return mail.message_id

    async def hold(self, seconds: float) -> None:
        """Stall until released or until `seconds` are over."""
        await self.faults.hold(seconds)

    # ---- reading the inbox

    def mails(self, recipient: str | None = None) -> list[Mail]:
        """All deliveries, oldest first; if given, only those whose envelope names `recipient` (a part is enough)."""
        return self.inbox.all(recipient)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Settings and mails, for the page of the sandbox."""
        listening = {
            "SMTP": f"{self.host}:{self.port}",
            "STARTTLS": self._tls is not None,
            "users": len(self.users),
        }
        mails = [
            {
                "when": f"{mail.arrival.at:%m-%d %H:%M:%S}",
                "to": ", ".join(mail.recipients),
                "subject": mail.subject,
                "read": f"inbox/{mail.number}",
            }
            for mail in self.inbox.all()
        ]
        return {"Server": [listening], "Mails": mails}

    @route("GET", "/server")
    def _server_facts(self, call: Call) -> Answer:
        """Where to send to."""
        return json_answer({"host": self.host, "port": self.port, "certificate": self.certificate})

    @route("GET", "/mails")
    def _list(self, call: Call) -> Answer:
        """Deliveries in brief; `recipient=` searches, `distinct=1` folds those of one Message-ID."""
        recipient = call.arg("recipient")
        if call.arg("distinct"):
            found = [
                one.mail.as_json(parts=False) | {"copies": one.copies}
                for one in self.inbox.distinct(recipient)
            ]
        else:
            found = [mail.as_json(parts=False) for mail in self.inbox.all(recipient)]
        return json_answer({"mails": found})

    @route("GET", "/mails/{number}")
    def _one(self, call: Call) -> Answer:
        """One delivery with headers, text and HTML."""
        return json_answer(self._chosen(call).as_json())

    @route("GET", "/mails/{number}/raw")
    def _raw(self, call: Call) -> Answer:
        """The bytes as they came in."""
        return Answer(200, self._chosen(call).raw, "text/plain")

    @route("GET", "/mails/{number}/html")
    def _html(self, call: Call) -> Answer:
        """The HTML part alone. Its scripts and remote content stay off."""
        content = self._chosen(call).html or ""
        return Answer(200, content.encode(), "text/html", _NOTHING_FROM_OUTSIDE)

    @route("GET", "/inbox")
    def _inbox(self, call: Call) -> Answer:
        """The inbox as a page; `recipient=` searches."""
        recipient = call.arg("recipient") or None
        return Answer(200, inbox_page(self.inbox.distinct(recipient), recipient, call.base_url), "text/html")

    @route("GET", "/inbox/{number}")
    def _mail(self, call: Call) -> Answer:
        """One mail as a page."""
        return Answer(200, mail_page(self._chosen(call), call.base_url), "text/html")

    def _chosen(self, call: Call) -> Mail:
        number = call.params["number"]
        mail = self.inbox.get(int(number)) if number.isdigit() else None
        if mail is None:
            raise Refused(json_answer({"error": f"no mail {number}; see {call.base_url}/mails"}, 404))
        return mail


_NOTHING_FROM_OUTSIDE = {
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
}


def with_any_login() -> SmtpStandIn:
    """One that takes any password of the user masthead: for a connector whose secret is not known here."""
    return SmtpStandIn(users={"masthead": ANY})
