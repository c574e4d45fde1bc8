"""The people of a tenant: members, roles, teams, invitations."""
