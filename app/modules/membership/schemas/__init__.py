"""The wire shapes of membership, by topic."""
