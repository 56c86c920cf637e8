"""Local stand-ins that speak the vendors' own wire protocols.
They stand alone: nothing of ours but domain value types."""
