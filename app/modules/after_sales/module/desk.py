"""Registers what after_sales knows of desk."""

from __future__ import annotations

from app.kernel.registry import Module

PART = Module(name="after_sales")
