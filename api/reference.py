"""`/docs`: the reference of the API as a page that loads nothing from elsewhere. Whoever reads it has a key at hand,
and a script of somebody's server would run beside it; and it is there where the network is closed."""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

PAGE = "/docs"
_ASSETS = "/docs-assets"


def serve_reference(app: FastAPI) -> None:
    """Add the page and what it is made of to `app`, which was made without FastAPI's own. It needs no key: what it
    says is in every copy of Masthead."""
    app.mount(_ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")), name="reference")

    async def page(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title}: API",
            swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
        )

    app.add_route(PAGE, page, include_in_schema=False)
