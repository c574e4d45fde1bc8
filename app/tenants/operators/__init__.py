"""Whoever runs the installation: their keys, what they may do with companies, and the log of what they did."""
