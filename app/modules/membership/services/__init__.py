"""The rules of membership, by topic."""
