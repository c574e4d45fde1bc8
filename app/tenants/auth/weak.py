"""Refusing weak passwords as a problem document."""

from __future__ import annotations

from collections.abc import Iterable

from app.kernel.errors import Invalid
from app.tenants.auth.passwords import WeakPassword, check_password


def refuse_weak(password: str, *, personal: Iterable[str], pointer: str = "/password") -> None:
    """Raises: Invalid at `pointer`, saying why the password will not do."""
    try:
        check_password(password, personal=personal)
    except WeakPassword as error:
        raise Invalid.at(pointer, error.code, f"{error}.") from None
