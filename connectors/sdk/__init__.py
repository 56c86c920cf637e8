"""The contract for connector authors: what a connector is, and what it is given.
What it needs from outside is a protocol here, implemented in storage."""
