"""Durable processes, one file each; a run method reads as the business story.
They wait, decide and call activities; they hold no rules and touch no I/O."""
