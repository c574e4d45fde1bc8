"""Stored value: what a wallet holds, its ledger, and what is done with it."""
