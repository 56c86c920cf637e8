"""Several stand-ins behind one address: the vendors' own SDKs work below a path."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

import httpx
from avalara.client import AvataxClient
from hubspot import HubSpot

from sandbox.app import stand_ins
from sandbox.server import LocalServer
from sandbox.smtp.stand_in import SmtpStandIn


def test_avatax_hubspot_and_mail_share_a_server() -> None:
    made = stand_ins(["avatax", "hubspot", "smtp"])
    server = LocalServer(made, mounted=True)
    server.start()
    try:
        avatax = AvataxClient("Masthead", "1", "here", environment=f"{server.url}/avatax", timeout_limit=5)
        assert avatax.ping().json()["authenticated"] is False
        crm = HubSpot(access_token="pat-sandbox", host=f"{server.url}/hubspot").crm
        crm.contacts.basic_api.create({"properties": {"email": "ada@example.com"}})
        assert crm.contacts.get_all()[0].properties["email"] == "ada@example.com"
        post = made["smtp"]
        assert isinstance(post, SmtpStandIn)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "hub@example.com", "ada@example.com", "Hello"
        message.set_content("Hello.")
        with smtplib.SMTP(post.host, post.port, timeout=5) as client:
            client.send_message(message)
        assert f'href="{server.url}/smtp/inbox/1"' in httpx.get(f"{server.url}/smtp/inbox").text
        for system in made:
            assert httpx.get(f"{server.url}/{system}/_page").status_code == 200
    finally:
        server.stop()
