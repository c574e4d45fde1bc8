"""Tables of membership, by topic."""
