"""What crosses a process border: one model in, one out, and the names of queues, ids and attributes.
Contracts only ever gain fields with defaults, so that old and new processes understand each other."""
