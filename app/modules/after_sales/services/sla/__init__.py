"""Promises to customers: policies, the clocks that watch them, and what happens when they run out."""
