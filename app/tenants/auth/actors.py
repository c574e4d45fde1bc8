"""From a member's roles and teams to the actor that the kernel asks for permission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import asyncpg

from app.kernel.access import Actor, ActorKind, Reach, Scope, TenantProfile
from app.kernel.allowances import Allowance
from app.kernel.db import Connection
from app.kernel.registry import Registry
from app.tenants.people.built_in_roles import OWNER, built_in_grants

PROFILE_COLUMNS: Final = (
    "t.id AS tenant_id, t.name AS tenant_name, t.slug, t.status AS tenant_status, t.locale, t.time_zone,"
    " t.currency, t.country, t.fiscal_year_start_month, t.brand_color, t.logo_hash, t.export_until,"
    " (SELECT to_jsonb(a) FROM kernel.allowances a WHERE a.tenant_id = t.tenant_id) AS allowance"
)

_MEMBER: Final = f"""
WITH RECURSIVE m AS (
  SELECT * FROM tenants.members WHERE tenant_id = $1 AND id = $2 AND status = 'active'
), mine AS (
  SELECT u.id, u.position FROM m, unnest(m.team_ids) WITH ORDINALITY AS u(id, position)
  UNION ALL
  SELECT t.id, 1000000 FROM m JOIN tenants.teams t ON t.tenant_id = $1 AND t.manager_id = m.id
   WHERE NOT t.id = ANY(m.team_ids)
), below AS (
  SELECT id FROM mine
  UNION
  SELECT t.id FROM below b JOIN tenants.teams t ON t.tenant_id = $1 AND t.parent_id = b.id
)
SELECT {PROFILE_COLUMNS}, m.id AS member_id, m.user_id, m.name,
  ARRAY(SELECT id FROM mine ORDER BY position, id) AS team_ids,
  ARRAY(SELECT id FROM below) AS team_ids_below,
  (SELECT coalesce(jsonb_agg(jsonb_build_array(r.key, r.built_in, r.grants, r.field_rules)), '[]')
     FROM tenants.roles r WHERE r.tenant_id = $1 AND r.id = ANY(m.role_ids)) AS roles
FROM m JOIN tenants.tenants t ON t.tenant_id = $1 AND t.id = $1
"""


def profile_of(row: Mapping[str, Any] | asyncpg.Record) -> TenantProfile:
    """The tenant's profile from a row with `PROFILE_COLUMNS`."""
    return TenantProfile(
        id=row["tenant_id"],
        name=row["tenant_name"],
        slug=row["slug"],
        status=row["tenant_status"],
        locale=row["locale"],
        time_zone=row["time_zone"],
        currency=row["currency"],
        country=row["country"],
        fiscal_year_start_month=row["fiscal_year_start_month"],
        brand_color=row["brand_color"],
        logo_hash=row["logo_hash"],
        export_until=row["export_until"],
        allowance=Allowance.of(row["allowance"]),
    )


async def load_actor(
    connection: Connection,
    registry: Registry,
    tenant_id: UUID,
    member_id: UUID,
    *,
    session_id: UUID | None = None,
    api_key: tuple[UUID, str, Mapping[str, str]] | None = None,
) -> Actor | None:
    """An active member's actor, or None. With `api_key` (id, name, grants) cut down to what the key may do."""
    row = await connection.fetchrow(_MEMBER, tenant_id, member_id)
    if row is None:
        return None
    roles = row["roles"]
    grants = merged_grants(registry, roles)
    everything = any(key == OWNER and built_in for key, built_in, _, _ in roles)
    kind: ActorKind = "member"
    principal, name = row["member_id"], row["name"]
    if api_key is not None:
        kind, (principal, name, key_grants) = "api_key", api_key
        grants = intersection(grants, parse_grants(key_grants))
        everything = False
    hidden, readonly = field_rules([rules for _, _, _, rules in roles])
    return Actor(
        tenant=profile_of(row),
        kind=kind,
        id=principal,
        name=name,
        member_id=row["member_id"],
        user_id=row["user_id"] if api_key is None else None,
        session_id=session_id,
        grants=grants,
        team_ids=tuple(row["team_ids"]),
        team_ids_below=tuple(row["team_ids_below"]),
        hidden_fields=with_followers(registry, hidden),
        readonly_fields=readonly,
        everything=everything,
        reach=await _reach(connection, registry, row, grants),
    )


_LASTING: Final = ("member:", "role:", "api_key:", "webhook:", "subscription:", "tenant:export", "bill:")


def in_place_of(member: Actor, operator_name: str, *, may_write: bool) -> Actor:
    """An operator in a member's place, for as long as the session lasts and to no lasting end.

    They see what the member sees. Whatever would outlive the session is not theirs to do: people, roles, keys,
    webhooks, the plan, the company's money, taking everything out.
    """
    grants = {
        name: scope
        for name, scope in member.grants.items()
        if name.endswith(":read") or not name.startswith(_LASTING)
    }
    name = f"{operator_name} (operator) as {member.name}"
    return replace(
        member, kind="impersonation", name=name, grants=grants, everything=False, read_only=not may_write
    )


async def _reach(
    connection: Connection, registry: Registry, row: asyncpg.Record, grants: Mapping[str, Scope]
) -> dict[str, Reach]:
    """What modules let this member read beyond their roles."""
    found: dict[str, Reach] = {}
    for permission, of in registry.reaches:
        manages = grants.get(permission, Scope.NONE) is not Scope.NONE
        found |= await of(connection, row["tenant_id"], row["member_id"], row["team_ids"], manages)
    return found


def merged_grants(registry: Registry, roles: Sequence[Any]) -> dict[str, Scope]:
    """The widest scope of each permission over all roles `[key, built_in, grants, field_rules]`."""
    merged: dict[str, Scope] = {}
    for key, built_in, grants, _ in roles:
        found = built_in_grants(registry, key) if built_in else parse_grants(grants)
        for name, scope in found.items():
            if scope > merged.get(name, Scope.NONE):
                merged[name] = scope
    return merged


def parse_grants(stored: Mapping[str, str]) -> dict[str, Scope]:
    """Stored grants (`{"lead:read": "team"}`) as scopes."""
    return {name: Scope[label.upper()] for name, label in stored.items()}


def intersection(left: Mapping[str, Scope], right: Mapping[str, Scope]) -> dict[str, Scope]:
    """What both grant, each with the narrower scope."""
    return {name: min(scope, right[name]) for name, scope in left.items() if name in right}


FieldSets = dict[str, frozenset[str]]


def with_followers(registry: Registry, hidden: FieldSets) -> FieldSets:
    """Hidden fields with those that would tell them, such as a converted amount."""
    found = {(name, field) for name, fields in hidden.items() for field in fields}
    if not found:
        return hidden
    followers = _followers(registry)
    waiting = list(found)
    while waiting:
        more = followers.get(waiting.pop(), set()) - found
        found |= more
        waiting += more
    return {
        name: frozenset(field for object_name, field in found if object_name == name)
        for name in {*hidden, *(name for name, _ in found)}
    }


def _followers(registry: Registry) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """What is hidden with each `(object, field)`, of whatever record type."""
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for name, record in registry.records.items():
        for follower, followed in record.follows.items():
            for one in (followed,) if isinstance(followed, str) else followed:
                of, dot, field = one.partition(".")
                found.setdefault((of, field) if dot else (name, one), set()).add((name, follower))
    return found


def field_rules(rules: Sequence[Mapping[str, Mapping[str, Sequence[str]]]]) -> tuple[FieldSets, FieldSets]:
    """(hidden, readonly) by object: what every role hides stays hidden, what every role locks stays locked."""
    objects = set[str]().union(*rules) if rules else set()
    hidden: FieldSets = {}
    readonly: FieldSets = {}
    for name in objects:
        of_roles = [role.get(name, {}) for role in rules]
        hidden_by = [frozenset(role.get("hidden", ())) for role in of_roles]
        locked_by = [
            h | frozenset(role.get("readonly", ())) for h, role in zip(hidden_by, of_roles, strict=True)
        ]
        hidden[name] = frozenset.intersection(*hidden_by)
        readonly[name] = frozenset.intersection(*locked_by)
    return hidden, readonly
