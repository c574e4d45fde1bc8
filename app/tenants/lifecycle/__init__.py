"""The life of a company's account, from sign-up to erasure."""
