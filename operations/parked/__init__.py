"""Acting on parked work: retry, edit, skip, fail, each one transaction with its audit row.
Whoever waits for it is told afterwards, and looks by itself when the telling is lost."""
