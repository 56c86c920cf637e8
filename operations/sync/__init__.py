"""Keeping other systems in step: flows as data, what a record's state is, what came of writing it,
and the commands that other systems may give us."""
