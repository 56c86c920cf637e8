"""Contacts, companies, products and deals in HubSpot through its own SDK, a hundred at a time, each with an outcome.
Records are found again by a unique property of ours, so that writing one twice is writing it once."""
