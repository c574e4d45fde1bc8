"""Tables of after_sales, a file for each topic."""
