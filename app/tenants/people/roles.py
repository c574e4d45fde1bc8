"""Roles: the built-in ones, and a tenant's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.errors import FieldError, Forbidden, Invalid, NotFound, require_version
from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork
from app.kernel.validation import pointer_of
from app.tenants.auth.actors import parse_grants
from app.tenants.auth.control import access_changed
from app.tenants.interface import BuiltInRoleFixed, LastOwner, RoleInUse
from app.tenants.models import Role
from app.tenants.people.built_in_roles import OWNER, built_in_grants
from app.tenants.people.grants import clean_grants, refuse_more_fields, refuse_wider
from app.tenants.people.lookups import any_of

OBJECT = "role"
_ALWAYS_SHOWN = frozenset({"id", "version"})


class Roles:
    """The roles of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def list(self) -> list[Role]:
        """Built-in roles first, widest first, then the tenant's own by name."""
        statement = self.uow.select(Role).order_by(Role.built_in.desc())
        return await self.uow.all(statement.order_by(Role.name, Role.id))

    async def get(self, id: UUID) -> Role:
        """Raises: NotFound."""
        return await self.uow.get(Role, id)

    def grants_of(self, role: Role) -> dict[str, Scope]:
        """What a role grants now; built-in ones as the modules declare it."""
        registry = self.uow.kernel.registry
        return built_in_grants(registry, role.key) if role.built_in else parse_grants(role.grants)

    async def create(
        self, name: str, description: str, grants: Mapping[str, str], field_rules: Mapping[str, Any]
    ) -> Role:
        """Raises: Invalid; GrantTooWide; DuplicateValue for a name that is taken."""
        id = new_id()
        return await self.uow.insert(
            Role,
            audit=OBJECT,
            id=id,
            key=f"role_{id.hex[-12:]}",
            name=name,
            description=description,
            built_in=False,
            grants=clean_grants(self.uow, grants, pointer="/grants"),
            field_rules=self._clean_rules(field_rules),
        )

    async def clone(self, id: UUID, name: str) -> Role:
        """An own role that starts with another's grants and field rules. Raises: NotFound; GrantTooWide."""
        role = await self.get(id)
        grants = {permission: scope.label for permission, scope in self.grants_of(role).items()}
        return await self.create(name, role.description, grants, role.field_rules)

    async def update(self, id: UUID, changes: dict[str, Any], *, expected_version: int) -> Role:
        """Change an own role, for all who have it, from the commit on.

        Raises: NotFound; StaleVersion; BuiltInRoleFixed; Invalid; GrantTooWide; DuplicateValue.
        """
        role = await self._own(id, expected_version)
        if "grants" in changes:
            # Neither may one widen a role beyond oneself, nor take from it what one could not give back.
            refuse_wider(self.uow, parse_grants(role.grants))
            changes["grants"] = clean_grants(self.uow, changes["grants"], pointer="/grants")
        if "field_rules" in changes:
            refuse_more_fields(self.uow, role.field_rules)
            changes["field_rules"] = self._clean_rules(changes["field_rules"])
        changed = await self.uow.update(role, audit=OBJECT, **changes)
        if changed is not role:
            await access_changed(self.uow)
        return changed

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises: NotFound; StaleVersion; BuiltInRoleFixed; RoleInUse."""
        role = await self._own(id, expected_version)
        used = await self.uow.fetchrow(
            "SELECT (SELECT count(*) FROM tenants.members WHERE tenant_id = $1 AND $2 = ANY(role_ids)) AS members,"
            " (SELECT count(*) FROM tenants.invitations WHERE tenant_id = $1 AND $2 = ANY(role_ids)"
            " AND status = 'pending') AS invitations",
            self.uow.tenant_id,
            id,
        )
        if used and (used["members"] or used["invitations"]):
            raise RoleInUse(**dict(used))
        await self.uow.delete(role, audit=OBJECT)

    async def _own(self, id: UUID, version: int) -> Role:
        row = await self.uow.fetchrow(
            "SELECT id FROM tenants.roles WHERE tenant_id = $1 AND id = $2 FOR UPDATE", self.uow.tenant_id, id
        )
        role = await self.uow.get(Role, row["id"] if row else id)
        require_version(role.version, expected=version)
        if role.built_in:
            raise BuiltInRoleFixed
        return role

    def _clean_rules(self, rules: Mapping[str, Any]) -> dict[str, Any]:
        """Field rules to store. Raises: Invalid for an unknown object or field."""
        errors: list[FieldError] = []
        cleaned: dict[str, Any] = {}
        for object_name, rule in rules.items():
            record = self.uow.kernel.registry.records.get(object_name)
            if record is None:
                pointer = f"/field_rules{pointer_of([object_name])}"
                errors.append(FieldError(pointer, "unknown_object", f"There is no object {object_name}."))
                continue
            cleaned[object_name] = {kind: sorted(set(rule.get(kind, ()))) for kind in ("hidden", "readonly")}
            for kind, names in cleaned[object_name].items():
                pointer = f"/field_rules{pointer_of([object_name, kind])}"
                # What a record is called stands wherever another one refers to it.
                shown = _ALWAYS_SHOWN | ({record.title} if kind == "hidden" else set())
                unknown = [n for n in names if n not in record.fields or n in shown]
                errors += [
                    FieldError(pointer, "unknown_field", f"{name} cannot be {kind}.") for name in unknown
                ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors[:100])
        refuse_more_fields(self.uow, cleaned)
        return cleaned

    # -- giving roles to people ------------------------------------------------------------------------------

    async def to_give(self, ids: Sequence[UUID], *, pointer: str = "/role_ids") -> Sequence[UUID]:
        """Roles that the actor may give, held until the transaction ends so that none is deleted meanwhile.

        Raises: Invalid for an unknown role; GrantTooWide; Forbidden for making owners without being one.
        """
        wanted = list(dict.fromkeys(ids))
        held = await self.uow.fetch(
            "SELECT id FROM tenants.roles WHERE tenant_id = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR KEY SHARE",
            self.uow.tenant_id,
            wanted,
        )
        missing = set(wanted) - {row["id"] for row in held}
        if missing:
            raise Invalid(
                "There is no such role.",
                errors=[FieldError(pointer, "unknown_role", f"{id} is no role.") for id in sorted(missing)],
            )
        await self.refuse_beyond(wanted)
        return wanted

    async def refuse_beyond(self, ids: Collection[UUID]) -> None:
        """Let nobody give, or take away, roles that may do more than they may themselves.

        Raises: GrantTooWide; Forbidden where the owner role is among them and the actor is no owner.
        """
        for role in await self.uow.all(self.uow.select(Role).where(Role.id == any_of(ids))):
            if role.key == OWNER and role.built_in and not self.uow.actor.everything:
                raise Forbidden("Only an owner decides who is an owner.")
            refuse_wider(self.uow, self.grants_of(role))
            refuse_more_fields(self.uow, role.field_rules)

    async def by_key(self, key: str) -> Role:
        """A built-in role. Raises: NotFound."""
        found = await self.uow.first(self.uow.select(Role).where(Role.key == key))
        if found is None:
            raise NotFound
        return found

    async def keep_an_owner(self, leaving: UUID) -> None:
        """Refuse to lose the last active owner. The lock on the owner role makes such changes wait for each other.

        Raises: LastOwner.
        """
        await self.uow.fetch(
            "SELECT 1 FROM tenants.roles WHERE tenant_id = $1 AND key = $2 FOR NO KEY UPDATE",
            self.uow.tenant_id,
            OWNER,
        )
        row = await self.uow.fetchrow(
            "SELECT 1 FROM tenants.members m JOIN tenants.roles r ON r.tenant_id = $1 AND r.key = $2"
            " AND r.id = ANY(m.role_ids) WHERE m.tenant_id = $1 AND m.status = 'active' AND m.id <> $3 LIMIT 1",
            self.uow.tenant_id,
            OWNER,
            leaving,
        )
        if row is None:
            raise LastOwner
