"""Calls, and who is calling."""
