"""Tables of the module."""
