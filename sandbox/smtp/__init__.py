"""A mail server that keeps what it gets: the inbox that tests and people read.
Faults, effects and control follow the HTTP stand-ins."""
