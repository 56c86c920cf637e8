"""What other systems can do for a publisher, in domain words: one file each, abstract methods over values.
A method with a `key` is a write; one without may be repeated freely."""
