"""The HTTP face of the module."""
