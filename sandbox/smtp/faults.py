"""Faults that the mail server can be told to commit, each at one step of the conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sandbox.faults import Fault

#: Steps of the conversation at which a fault may be met. A DATA fault is met when the whole message has come in.
STEPS = ("CONNECT", "AUTH", "MAIL", "RCPT", "DATA")

#: Name → what the client meets, and whether the mail was kept.
SMTP_FAULTS: dict[str, str] = {
    "drop_before": "connection aborted before acceptance (at DATA; method MAIL or CONNECT to do it earlier)",
    "drop_after": "mail kept, then the connection aborted before the 250",
    "stall_before": "no reply until released or `seconds` are over, then aborted; nothing kept",
    "stall_after": "mail kept, then no reply until released or `seconds` are over, then aborted",
    "unavailable": "421 at connect (or at the step that `method` names), connection closed",
    "auth_failed": "535 to every login of a conversation",
    "greylist": "451 to a recipient",
    "mailbox_full": "452 to a recipient",
    "rejected": "550 user unknown to a recipient",
    "too_big": "552 to the message, nothing kept",
    "deferred": "451 to the message, nothing kept",
    "content_rejected": "554 to the message, nothing kept",
}

#: What a fault that answers says (RFC 5321 reply, RFC 3463 enhanced status).
REPLIES = {
    "unavailable": "421 4.3.2 Service not available, try again later",
    "auth_failed": "535 5.7.8 Authentication credentials invalid",
    "greylist": "451 4.7.1 Greylisted, try again later",
    "mailbox_full": "452 4.2.2 Mailbox full",
    "rejected": "550 5.1.1 User unknown",
    "too_big": "552 5.3.4 Message size exceeds the limit",
    "deferred": "451 4.3.0 Temporary failure, try again later",
    "content_rejected": "554 5.7.1 Message refused by policy",
}

_STEP = {"unavailable": "CONNECT", "auth_failed": "AUTH"} | dict.fromkeys(
    ("greylist", "mailbox_full", "rejected"), "RCPT"
)


@dataclass
class SmtpFault(Fault):
    """One fault that waits for its next `times` matching steps (None: until cleared).

    `method` is the step (one of STEPS; the fault's own step when None), `path` an fnmatch pattern over the recipient in
    lower case, looked at by RCPT steps only. `seconds` is how long a stall lasts. Raises ValueError for what cannot be.
    """

    known: ClassVar[Mapping[str, str]] = SMTP_FAULTS

    def __post_init__(self) -> None:
        if self.fault not in SMTP_FAULTS:
            raise ValueError(
                f"no mail fault is called {self.fault!r}; there are: {', '.join(sorted(SMTP_FAULTS))}"
            )
        if self.times is not None and self.times < 1:
            raise ValueError(f"times must be 1 or more, or null for ever; not {self.times}")
        if self.skip < 0 or (self.seconds is not None and self.seconds < 0):
            raise ValueError("skip and seconds must not be negative")
        self.method = (self.method or _STEP.get(self.fault, "DATA")).upper()
        if self.method not in STEPS:
            raise ValueError(
                f"method must be a step of the conversation, one of {', '.join(STEPS)}; not {self.method}"
            )
        if self.fault in ("drop_after", "stall_after") and self.method != "DATA":
            raise ValueError(f"{self.fault} happens at DATA, where a mail is kept; not at {self.method}")
        if self.path is not None:
            if self.method != "RCPT":
                raise ValueError(f"path names recipients, and {self.fault} at {self.method} sees none")
            self.path = self.path.lower()
