"""After a restore: what happened outside since the backup is found out and written down, and only then may anything be
sent again."""
