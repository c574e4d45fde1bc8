"""The knowledge base: writing, publishing, finding and reading articles."""
