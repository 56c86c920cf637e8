"""Webhooks that come in: how a vendor signs, as data, and the one verification for all of them.
Nothing here knows a vendor; a vendor's recipe lies in its own folder."""
