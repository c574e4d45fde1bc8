"""A look into the database, colleagues, and a guard that nothing changes."""

from __future__ import annotations

from tests.kernel.conftest import hire, look, unchanged

__all__ = ["hire", "look", "unchanged"]
