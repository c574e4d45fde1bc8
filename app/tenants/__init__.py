"""Tenants and the people in them: companies that subscribe, members, sign-in, access and billing."""
