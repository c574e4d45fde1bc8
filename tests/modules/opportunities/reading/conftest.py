"""Fixtures of the tests of reading."""

from __future__ import annotations

from tests.tenants.conftest import look

__all__ = ["look"]
