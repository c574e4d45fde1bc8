"""The roles every tenant starts with. What they grant is declared beside each permission, in its module."""

from __future__ import annotations

from dataclasses import dataclass

from app.kernel.access import Scope
from app.kernel.registry import Registry

OWNER = "owner"


@dataclass(frozen=True, slots=True)
class BuiltInRole:
    key: str
    name: str
    name_zh: str
    description: str


BUILT_IN_ROLES = (
    BuiltInRole(OWNER, "Owner", "所有者", "May do everything, also what touches the company's account."),
    BuiltInRole(
        "admin", "Administrator", "管理员", "Runs the installation: people, roles, settings, all records."
    ),
    BuiltInRole(
        "manager", "Manager", "经理", "Leads teams: sees and changes the work of their teams and below."
    ),
    BuiltInRole("salesperson", "Salesperson", "销售", "Works own records and sees those of the team."),
    BuiltInRole("viewer", "Viewer", "只读", "Reads everything, changes nothing."),
)


def built_in_grants(registry: Registry, key: str) -> dict[str, Scope]:
    """The grants of a built-in role as the modules declare them."""
    if key == OWNER:
        return dict.fromkeys(registry.permissions, Scope.ALL)
    found: dict[str, Scope] = {}
    for permission in registry.permissions.values():
        scope = permission.defaults.get(key, Scope.NONE)
        if scope is not Scope.NONE:
            found[permission.name] = scope
    return found
