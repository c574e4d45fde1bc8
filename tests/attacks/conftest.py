"""The same people and the same look behind the curtain as the kernel's tests have."""

from tests.kernel.conftest import hire, look, unchanged

__all__ = ["hire", "look", "unchanged"]
