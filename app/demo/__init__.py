"""The demo company: invented customers with a history, made from a seed.

A CRM without data shows nothing, and real data may not be shown. Everything here is pure: it computes records
and touches neither network nor database; the `rapport demo` command sends them through the public API.
"""
