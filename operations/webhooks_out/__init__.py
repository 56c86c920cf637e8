"""Webhooks going out: subscribers' endpoints, which events are for each of them, and the two transactions
around each turn of sending. The sending itself is an activity."""
