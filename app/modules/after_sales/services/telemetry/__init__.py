"""Telemetry: what assets report, and when it calls for a case."""
