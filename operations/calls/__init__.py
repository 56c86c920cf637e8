"""One call to another system, from its intent to its outcome, as short transactions.
The request is committed before anything is sent, and what came of it after; nothing here talks to anybody."""
