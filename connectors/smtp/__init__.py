"""Mail through any SMTP server: one conversation a mail, with its outcome known or said to be unknown.
The Message-ID comes from the key, so that a mail that went out twice is shown once by most readers."""
