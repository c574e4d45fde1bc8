"""Operations of membership, by topic."""
