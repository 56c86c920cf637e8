"""What subscriptions demand outside: written down where their state changes, and carried out by their episodes."""
