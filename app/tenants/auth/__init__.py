"""Proof of who is calling: passwords, one-time codes, access and refresh tokens, API keys."""
