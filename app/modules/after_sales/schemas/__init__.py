"""What goes over the wire for after_sales, a file for each topic."""
