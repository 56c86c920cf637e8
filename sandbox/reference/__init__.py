"""Reference stand-ins: every capability in plain JSON over HTTP, so that a new connector has something to talk to.
The answers have the fields of the capabilities' values."""
