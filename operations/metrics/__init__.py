"""Figures of what the database holds, for those who watch the hub: what waits, how long, and what was recovered. Each
is read by one statement over many rows, when somebody asks, and never where work is done."""
