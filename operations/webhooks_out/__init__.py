"""Webhooks going out: subscribers' endpoints, what is for each of them, sending it and recording how that went."""
