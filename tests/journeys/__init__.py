"""Whole stories through the public API, some of them on real data."""
