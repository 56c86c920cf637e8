"""One use case each: a transaction that loads rows, calls domain, and writes rows and events.
Called by the API, the command line and activities alike."""
