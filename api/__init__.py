"""The HTTP face: health, JSON under /v1, later webhooks and small web pages.
Routes translate between HTTP and operations; app.py composes them."""
