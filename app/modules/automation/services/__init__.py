"""Approvals at work."""
