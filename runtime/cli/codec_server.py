"""`masthead codec-server`: what the Temporal Web UI asks to show encrypted payloads."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

import typer

from runtime.cli.errors import UserError
from runtime.settings import load_settings

UI = "http://127.0.0.1:8233"


def codec_server(
    host: Annotated[
        str, typer.Option(help="The address to listen on; another than loopback needs MASTHEAD_CODEC_TOKEN.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 8099,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Where the Web UI is, as its address begins; repeat it for several."),
    ] = None,
) -> None:
    """Decode payloads for the Temporal Web UI, with the keys of MASTHEAD_PAYLOAD_KEY.

    In the UI, the glasses at the top right take its address. Whoever reaches it reads what is encrypted: keep it on
    this machine, or give it MASTHEAD_CODEC_TOKEN and TLS by a proxy. Ctrl-C ends it.
    """
    import uvicorn

    from runtime.codec_server import codec_app
    from runtime.payload_codec import VARIABLE, PayloadEncryption

    settings = load_settings()
    codec = PayloadEncryption.of(settings.payload_key)
    if codec.key_id is None:
        raise UserError(
            f"{VARIABLE} is not set, so there is nothing to decode with",
            remedy="Give it the keys that workers and API have.",
        )
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        raise UserError(f"{host} is no IP address", remedy="Write it as 127.0.0.1.") from None
    if not loopback and settings.codec_token is None:
        raise UserError(
            f"on {host} anybody could read what is encrypted",
            remedy="Set MASTHEAD_CODEC_TOKEN, or listen on 127.0.0.1.",
        )
    app = codec_app(
        codec, origins=origin or [UI, UI.replace("127.0.0.1", "localhost")], token=settings.codec_token
    )
    print(f"codec server at http://{host}:{port}, for {', '.join(origin or [UI])}", flush=True)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)
