"""Loads the rules and bundles that some lines meet: three statements, whatever their number."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.catalog.models.configuration import RuleKind
from app.modules.catalog.services.violations import ComponentRule, GroupRule, ProductFacts, Rule, RuleFacts


async def load_rules(uow: UnitOfWork, product_ids: Collection[UUID]) -> RuleFacts:
    """Everything that holds for these products."""
    rows = await uow.fetch(_PRODUCTS, uow.tenant_id, list(product_ids))
    products = {
        row["id"]: ProductFacts(
            id=row["id"], name=row["name"], decimals=row["decimals"], parent_id=row["parent_id"]
        )
        for row in rows
    }
    family = {*products, *(one.parent_id for one in products.values() if one.parent_id)}
    if not family:
        return RuleFacts({}, (), {}, {})
    rules = await uow.fetch(_RULES, uow.tenant_id, list(family))
    parts = await uow.fetch(_BUNDLES, uow.tenant_id, list(products))
    names = {row["product_id"]: row["product_name"] for row in (*rules, *parts)}
    names |= {row["other_id"]: row["other_name"] for row in rules if row["other_id"]}
    return RuleFacts(products, _grouped_rules(rules), _grouped_bundles(parts), names)


def _grouped_rules(rows: Collection[Any]) -> list[Rule]:
    found: dict[UUID, tuple[Any, list[UUID]]] = {}
    for row in rows:
        _, others = found.setdefault(row["id"], (row, []))
        if row["other_id"]:
            others.append(row["other_id"])
    return [
        Rule(
            id=row["id"],
            kind=RuleKind(row["kind"]),
            product_id=row["product_id"],
            others=tuple(others),
            least=row["min_quantity"],
            most=row["max_quantity"],
            multiple_of=row["multiple_of"],
            message=row["message"],
        )
        for row, others in found.values()
    ]


def _grouped_bundles(rows: Collection[Any]) -> dict[UUID, list[GroupRule]]:
    groups: dict[tuple[UUID, UUID], tuple[Any, list[ComponentRule]]] = {}
    for row in rows:
        _, components = groups.setdefault((row["bundle_id"], row["group_id"]), (row, []))
        components.append(
            ComponentRule(
                product_id=row["product_id"],
                required=row["required"],
                least=row["min_quantity"],
                most=row["max_quantity"],
            )
        )
    found: dict[UUID, list[GroupRule]] = {}
    for (bundle_id, _), (row, components) in groups.items():
        group = GroupRule(
            name=row["name"],
            least=row["min_components"],
            most=row["max_components"],
            components=tuple(components),
        )
        found.setdefault(bundle_id, []).append(group)
    return found


_PRODUCTS = """
SELECT p.id, p.name, p.parent_id, u.decimals FROM catalog.products p
JOIN catalog.units u ON u.tenant_id = p.tenant_id AND u.code = p.unit
WHERE p.tenant_id = $1 AND p.id = ANY($2::uuid[])"""

_RULES = """
SELECT r.id, r.kind, r.product_id, p.name AS product_name, r.min_quantity, r.max_quantity, r.multiple_of, r.message,
  o.id AS other_id, o.name AS other_name
FROM catalog.configuration_rules r
JOIN catalog.products p ON p.tenant_id = r.tenant_id AND p.id = r.product_id
LEFT JOIN catalog.products o ON o.tenant_id = r.tenant_id AND o.id = ANY(r.other_product_ids)
WHERE r.tenant_id = $1 AND r.product_id = ANY($2::uuid[]) AND r.active AND r.deleted_at IS NULL
ORDER BY r.created_at, r.id, array_position(r.other_product_ids, o.id)"""

_BUNDLES = """
SELECT g.bundle_id, g.id AS group_id, g.name, g.min_components, g.max_components, c.product_id,
  p.name AS product_name, c.required, c.min_quantity, c.max_quantity
FROM catalog.bundle_groups g
JOIN catalog.bundle_components c ON c.tenant_id = g.tenant_id AND c.group_id = g.id
JOIN catalog.products p ON p.tenant_id = c.tenant_id AND p.id = c.product_id
WHERE g.tenant_id = $1 AND g.bundle_id = ANY($2::uuid[])
ORDER BY g.bundle_id, g.position, c.position"""
