"""The rules of after_sales, by topic."""
