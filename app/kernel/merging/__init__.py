"""Merging records: several records of one type become one, and for a while it can be taken back.

A record type says in its declaration how it is merged (`RecordType.merge`); modules whose rows refer to such
records register a `Merger`. The rest is here, once for all types.
"""
