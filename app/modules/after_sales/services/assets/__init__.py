"""Assets: what customers have, and what was promised for it."""
