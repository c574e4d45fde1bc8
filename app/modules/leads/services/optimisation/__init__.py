"""Giving open leads out anew: a plan is worked out, shown line by line, and applied."""
