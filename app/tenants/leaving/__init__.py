"""A company leaves: all of its data in one file, and then no trace of it but a certificate."""
