"""A database that an earlier release filled, under today's code."""
