"""The rules of orders and of what is owed for them."""
