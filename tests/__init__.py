"""Behaviour, on a real PostgreSQL (tests/support/postgres.py)."""
