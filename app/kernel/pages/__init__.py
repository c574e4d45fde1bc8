"""Pages for people: the documentation's own files, and what strangers see of a company."""
