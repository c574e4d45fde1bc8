"""What a company pays for Rapport: plans, seats, usage, invoices."""
