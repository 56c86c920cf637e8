"""The masthead command, one file per group of commands.
Commands print for people, or JSON with --json; bad input ends with exit code 2."""
