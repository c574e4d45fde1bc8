"""Bulk import: files become records in chunks, with every rule on, and nothing lost or doubled by a kill."""
