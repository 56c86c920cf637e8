"""What customers get to read: invoices as pages and PDF, mails. Templates and formats; everything is a function of the
values that it is given, and nothing is fetched from outside."""
