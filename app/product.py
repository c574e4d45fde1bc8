"""What the product is made of: every module, in one order, for the API, the worker and the command line alike."""

from __future__ import annotations

from collections.abc import Sequence

from app.kernel.modules import KERNEL_MODULES
from app.kernel.registry import Module, Registry
from app.modules import MODULES
from app.tenants.module import MODULE as TENANTS


def all_modules() -> list[Module]:
    """Every module of the product, lowest first."""
    return [*KERNEL_MODULES, TENANTS, *MODULES]


def build_registry(extra: Sequence[Module] = ()) -> Registry:
    return Registry([*all_modules(), *extra])
