"""The product's modules, lowest first: a module imports only the interfaces of others, and ports go upwards."""

from __future__ import annotations

from app.kernel.registry import Module

MODULES: list[Module] = []
