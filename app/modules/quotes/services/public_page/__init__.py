"""The page on which a customer reads and answers an offer: what it says, and what pressing its buttons does."""
