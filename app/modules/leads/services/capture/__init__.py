"""How leads come in by themselves: forms on websites, business cards, and mail."""
