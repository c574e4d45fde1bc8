"""PDF: typst in a process of its own, and the documents that companies send to their customers."""
