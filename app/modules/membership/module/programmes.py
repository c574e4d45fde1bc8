"""Registers what membership knows of programmes."""

from __future__ import annotations

from app.kernel.registry import Module

PART = Module(name="membership")
