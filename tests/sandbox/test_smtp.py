"""The mail server over real sockets, with clients of the standard library and aiosmtplib."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage

import aiosmtplib
import httpx
import pytest

from sandbox.smtp.stand_in import SmtpStandIn


@pytest.fixture
def post() -> Iterator[SmtpStandIn]:
    with SmtpStandIn() as stand_in:
        yield stand_in


def welcome(number: int = 1, to: str = "reader@example.com") -> EmailMessage:
    message = EmailMessage()
    message["Message-ID"] = f"<welcome-{number}@hub.example>"
    message["From"] = "The Paper <hello@paper.example>"
    message["To"] = to
    message["Subject"] = "Willkommen, Jürgen"
    message.set_content("Grüße, your paper comes tomorrow.\n")
    message.add_alternative("<h1>Grüße</h1><script>alert(1)</script>", subtype="html")
    return message


def send(
    post: SmtpStandIn, message: EmailMessage, to: list[str] | None = None, timeout: float = 5
) -> dict[str, object]:
    with smtplib.SMTP(post.host, post.port, timeout=timeout) as client:
        return dict(client.send_message(message, to_addrs=to))


def test_a_mail_is_kept_with_its_envelope_headers_text_and_html(post: SmtpStandIn) -> None:
    send(post, welcome(), ["reader@example.com", "blind@example.com"])
    (mail,) = post.mails()
    assert mail.message_id == "<welcome-1@hub.example>"
    assert mail.recipients == ("reader@example.com", "blind@example.com")
    assert mail.arrival.mail_from == "hello@paper.example"
    assert (mail.subject, mail.header("from")) == ("Willkommen, Jürgen", "The Paper <hello@paper.example>")
    assert mail.text == "Grüße, your paper comes tomorrow.\n"
    assert "<h1>Grüße</h1>" in (mail.html or "")
    assert not mail.arrival.encrypted
    assert post.count("mail", "<welcome-1@hub.example>") == 1


async def test_the_client_that_the_hub_uses_gets_through(post: SmtpStandIn) -> None:
    refused, reply = await aiosmtplib.send(welcome(), hostname=post.host, port=post.port)
    assert refused == {}
    assert reply.startswith("2.0.0")
    assert [mail.subject for mail in post.mails("READER@")] == ["Willkommen, Jürgen"]
    assert post.mails("somebody.else@") == []


def test_deliveries_of_one_message_id_are_folded_and_counted(post: SmtpStandIn) -> None:
    for number in (1, 2, 1):
        send(post, welcome(number))
    assert [(one.mail.message_id, one.copies) for one in post.inbox.distinct()] == [
        ("<welcome-1@hub.example>", 2),
        ("<welcome-2@hub.example>", 1),
    ]
    assert post.count("mail", "<welcome-1@hub.example>") == 2


@pytest.mark.parametrize(
    ("method", "step"), [("DATA", "DATA"), (None, "DATA"), ("MAIL", "MAIL"), ("CONNECT", "CONNECT")]
)
def test_dropped_before_acceptance_keeps_nothing(post: SmtpStandIn, method: str | None, step: str) -> None:
    post.inject("drop_before", method=method)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(post, welcome())
    assert post.count() == 0
    assert (post.requests[-1].method, post.requests[-1].status) == (step, None)
    send(post, welcome())
    assert post.count("mail") == 1


def test_dropped_after_acceptance_keeps_the_mail_and_does_not_say_so(post: SmtpStandIn) -> None:
    post.inject("drop_after")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(post, welcome())
    assert post.count("mail", "<welcome-1@hub.example>") == 1


@pytest.mark.parametrize(("fault", "kept"), [("stall_before", 0), ("stall_after", 1)])
def test_a_stall_lasts_until_the_client_gives_up(post: SmtpStandIn, fault: str, kept: int) -> None:
    post.inject(fault)
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        send(post, welcome(), timeout=0.3)
    assert post.count("mail") == kept


def test_a_stall_can_be_cut_short(post: SmtpStandIn) -> None:
    post.inject("stall_after", seconds=0.01)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(post, welcome())
    assert post.count("mail") == 1


@pytest.mark.parametrize(("fault", "code"), [("greylist", 451), ("mailbox_full", 452), ("rejected", 550)])
def test_one_recipient_may_be_refused_and_the_others_not(post: SmtpStandIn, fault: str, code: int) -> None:
    post.inject(fault, path="gone@*")
    refused = send(post, welcome(), ["Gone@example.com", "here@example.com"])
    assert {address: told[0] for address, told in refused.items()} == {"Gone@example.com": code}  # type: ignore[index]
    assert post.mails()[0].recipients == ("here@example.com",)
    send(post, welcome(2), ["gone@example.com"])  # once was injected, so the second try gets through
    assert len(post.mails("gone@example.com")) == 1


@pytest.mark.parametrize(("fault", "code"), [("too_big", 552), ("deferred", 451), ("content_rejected", 554)])
def test_a_message_may_be_refused_whole(post: SmtpStandIn, fault: str, code: int) -> None:
    post.inject(fault)
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        send(post, welcome())
    assert refusal.value.smtp_code == code
    assert post.count() == 0


def test_unavailable_is_421_in_place_of_the_greeting(post: SmtpStandIn) -> None:
    post.inject("unavailable")
    with pytest.raises(smtplib.SMTPConnectError) as refusal:
        send(post, welcome())
    assert refusal.value.smtp_code == 421
    post.inject("unavailable", method="MAIL")
    with pytest.raises(smtplib.SMTPSenderRefused) as later:
        send(post, welcome())
    assert later.value.smtp_code == 421
    assert post.count() == 0


def test_a_message_over_the_size_limit_is_refused() -> None:
    message = welcome()
    message.add_attachment(b"x" * 20_000, maintype="application", subtype="pdf", filename="invoice.pdf")
    with SmtpStandIn(most_bytes=10_000) as post:
        with pytest.raises(smtplib.SMTPException, match="552"):
            send(post, message)
        assert post.count() == 0
    with SmtpStandIn() as post:
        send(post, message)
        assert post.mails()[0].attachments == ("invoice.pdf",)


@pytest.mark.parametrize("mechanism", ["LOGIN", "PLAIN"])
def test_login_over_starttls(mechanism: str) -> None:
    with SmtpStandIn(users={"hub": "s3cret"}, starttls=True) as post:
        trust = ssl.create_default_context(cadata=post.certificate)
        with smtplib.SMTP(post.host, post.port, timeout=5) as client:
            client.starttls(context=trust)
            client.ehlo()
            client.user, client.password = "hub", "s3cret"
            client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
            client.send_message(welcome())
        (mail,) = post.mails()
        assert mail.arrival.encrypted
        assert mail.arrival.login == "hub"
        assert "s3cret" not in repr(post.requests)


async def test_wrong_logins_and_missing_ones_are_refused() -> None:
    with SmtpStandIn(users={"hub": "s3cret"}) as post:
        with pytest.raises(aiosmtplib.SMTPAuthenticationError) as refusal:
            await aiosmtplib.send(
                welcome(), hostname=post.host, port=post.port, username="hub", password="wrong"
            )
        assert refusal.value.code == 535
        with pytest.raises(aiosmtplib.SMTPSenderRefused) as missing:
            await aiosmtplib.send(welcome(), hostname=post.host, port=post.port)
        assert missing.value.code == 530
        post.inject("auth_failed")
        with pytest.raises(aiosmtplib.SMTPAuthenticationError):
            await aiosmtplib.send(
                welcome(), hostname=post.host, port=post.port, username="hub", password="s3cret"
            )
        await aiosmtplib.send(
            welcome(), hostname=post.host, port=post.port, username="hub", password="s3cret"
        )
        assert post.count("mail") == 1


def test_without_users_no_login_is_offered(post: SmtpStandIn) -> None:
    with smtplib.SMTP(post.host, post.port, timeout=5) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert not client.has_extn("starttls")


def test_faults_that_cannot_be_are_refused_with_a_reason(post: SmtpStandIn) -> None:
    with pytest.raises(ValueError, match="there are: auth_failed, content_rejected"):
        post.inject("server_error")
    with pytest.raises(ValueError, match="drop_after happens at DATA"):
        post.inject("drop_after", method="MAIL")
    with pytest.raises(ValueError, match="path names recipients"):
        post.inject("too_big", path="gone@*")


def test_inbox_and_control_over_http(post: SmtpStandIn) -> None:
    with httpx.Client(base_url=post.url) as browser:
        told = browser.post("/_control/smtp/faults", json={"fault": "greylist", "path": "gone@*"}).json()
        assert told["method"] == "RCPT"
        assert browser.get("/server").json()["port"] == post.port
        send(post, welcome(), ["gone@example.com", "reader@example.com"])
        send(post, welcome())
        assert "greylist" in browser.get("/_control/smtp/faults").json()["known"]
        (brief,) = browser.get("/mails", params={"recipient": "reader@", "distinct": 1}).json()["mails"]
        assert (brief["copies"], brief["recipients"]) == (2, ["reader@example.com"])
        assert browser.get("/mails/1").json()["text"].startswith("Grüße")
        listed = browser.get("/inbox").text
        assert "Willkommen, Jürgen" in listed
        assert f"{post.url}/inbox/1" in listed
        assert "Willkommen" not in browser.get("/inbox", params={"recipient": "nobody@"}).text
        shown = browser.get("/inbox/1").text
        assert "your paper comes tomorrow" in shown
        assert "<script>alert" not in shown
        assert "default-src 'none'" in browser.get("/mails/1/html").headers["content-security-policy"]
        assert browser.get("/mails/99").status_code == 404
        assert "Willkommen, Jürgen" in browser.get("/_page").text
        browser.post("/_control/smtp/reset")
        assert post.mails() == []


def test_a_restarted_server_is_the_same_one_at_the_same_port() -> None:
    post = SmtpStandIn().start()
    send(post, welcome())
    port = post.port
    post.stop()
    with pytest.raises(ConnectionRefusedError):
        send(post, welcome())
    post.start()
    send(post, welcome())
    assert (post.port, post.count("mail")) == (port, 2)
    post.stop()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no headers at all",
        b"Message-ID: <[a@b]>\r\nDate: never\r\nTo: <<<>>,,\r\nSubject: =?utf-8?q?=ff?=\r\n\r\nx\xff",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xff",
        b"Content-Type: multipart/mixed; boundary=\r\n\r\nx",
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
        b"Content-Type: message/rfc822\r\n\r\nSubject: inside\r\n\r\nx",
    ],
)
def test_a_broken_mail_is_kept_and_can_be_read(post: SmtpStandIn, raw: bytes) -> None:
    with smtplib.SMTP(post.host, post.port, timeout=5) as client:
        client.sendmail("a@example.com", ["b@example.com"], raw)
    assert post.mails()[0].raw.rstrip() == raw.rstrip()
    with httpx.Client(base_url=post.url) as browser:
        for page in ("/inbox", "/inbox/1", "/mails/1", "/_page"):
            assert browser.get(page).status_code == 200
