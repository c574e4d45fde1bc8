"""Surveys: asking customers how it went, and what follows from what they say."""
