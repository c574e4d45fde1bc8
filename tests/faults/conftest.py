"""A folder for installations that are killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may enter (pytest closes its own to others)."""
    with tempfile.TemporaryDirectory(prefix="rapport-faults-") as name:
        Path(name).chmod(0o711)
        yield Path(name)
