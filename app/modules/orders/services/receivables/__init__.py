"""Invoices, payments, what was settled with which, ageing and credit."""
