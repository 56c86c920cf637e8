"""Webhooks that came in, applied: batches from the inbox to the handlers of their kinds,
each batch and its effects in one transaction."""
