"""Accounts: their rules as records, and the tree that they stand in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.company_names import company_core
from app.kernel.duplicate_imports import mark_duplicates
from app.kernel.duplicates import DuplicateAware, DuplicateSpec
from app.kernel.errors import Invalid
from app.kernel.imports.rules import ImportOptions, ImportRow, ImportRules
from app.kernel.listing import Bindings
from app.kernel.models import qualified
from app.kernel.records import RecordType, Search
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import AccountInUse, AccountUser, Pools
from app.modules.customers.models import Account, AccountKind
from app.modules.customers.schemas import AccountCreate, AccountRead, AccountUpdate, Hierarchy, HierarchyNode
from app.modules.customers.services.imports import (
    PARENT,
    check_moves,
    check_new_tree,
    remember_accounts,
    require_visible,
    resolve_accounts,
)
from app.modules.customers.services.merge_rules import (
    ACCOUNT_MERGE,
    clear_dead,
    furthest_stage,
    keep_place,
    latest_consents,
)
from app.modules.customers.services.quality import account_completeness
from app.modules.customers.services.trees import Tree

MAX_LEVELS = 10
ACCOUNT_TREE = Tree("customers.accounts", "parent_id", MAX_LEVELS)
_NODES_SHOWN = 2_000


def account_name_key(values: Any) -> str | None:
    """Companies are compared by name; consumers are not, since too many share one."""
    if values.get("kind") == AccountKind.PERSON or not values.get("name"):
        return None
    return company_core(values["name"]) or None


ACCOUNT_DUPLICATES = DuplicateSpec(
    name_key=account_name_key,
    emails=("email", "emails"),
    phones=("phone", "phones"),
    exact=("registration_number",),
    both_ends=True,
)


def held_account(uow: UnitOfWork, id: UUID, bind: Bindings) -> str:
    """See `Customers.held_account`."""
    readable = visible_rows(uow.actor, "account", "read", bind)
    country = "NULL::text" if "country" in uow.actor.hidden("account") else "t.country"
    return (
        f"SELECT {country} AS country FROM {qualified(Account)} t WHERE t.tenant_id = $1 AND t.id = {bind(id)}"
        f" AND t.deleted_at IS NULL{f' AND {readable}' if readable else ''}"
        f"{'' if uow.read_only else ' FOR KEY SHARE OF t'}"
    )


def holds_account(uow: UnitOfWork, id: UUID, bind: Bindings) -> str:
    """See `Customers.holds_account`."""
    return f"EXISTS ({held_account(uow, id, bind)})"


class AccountService(ImportRules, DuplicateAware[Account]):
    """What is particular about accounts among records."""

    duplicates = ACCOUNT_DUPLICATES
    import_columns = (PARENT,)

    async def before_create(self, values: dict[str, Any]) -> None:
        values["completeness"] = account_completeness(values)
        values["consents"] = {}
        await super().before_create(values)  # holds the compared forms, as imports do before the tree
        if values.get("parent_id") is not None:
            await self._check_parent(values["parent_id"], None)

    async def before_update(self, row: Account, changes: dict[str, Any]) -> None:
        parent_id = changes.get("parent_id")
        if parent_id is not None and parent_id != row.parent_id:
            await self._check_parent(parent_id, row.id)
        if "credit_limit" in changes and changes["credit_limit"] is None:
            changes["credit_currency"] = None
        changes["completeness"] = account_completeness({**row.__dict__, **changes})
        await super().before_update(row, changes)

    async def after_update(self, before: Account, after: Account) -> None:
        await super().after_update(before, after)
        if before.pool_id is not None and after.pool_id is None:
            await self.uow.of(Pools).assigned("account", after.id, before.pool_id, after.owner_id)

    async def opened(self, id: UUID, pool_id: UUID) -> None:
        """Raises `PoolViewLimitReached`."""
        await self.uow.of(Pools).opened("account", id, pool_id)

    async def _check_parent(self, parent_id: UUID, id: UUID | None) -> None:
        if parent_id not in await self.get_many([parent_id]):
            raise Invalid.at("/parent_id", "unknown_reference", "There is no account with this id.")
        await ACCOUNT_TREE.check(self.uow, parent_id, id=id)

    async def before_delete(self, row: Account) -> None:
        """Refuse while anything belongs to the account. Raises `AccountInUse`."""
        await ACCOUNT_TREE.lock(self.uow)  # nobody puts a child under it meanwhile
        # The strongest lock, since who refers to an account holds FOR KEY SHARE on it.
        await self.uow.fetch(
            "SELECT 1 FROM customers.accounts WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
            row.tenant_id,
            row.id,
        )
        found = await self.uow.fetchrow(_USES, row.tenant_id, row.id)
        used = {name: count for name, count in dict(found or {}).items() if count}
        for user in self.uow.ports(AccountUser):
            used |= {name: count for name, count in (await user.uses("account", row.id)).items() if count}
        if used:
            shown = ", ".join(f"{count} {name}" for name, count in used.items())
            raise AccountInUse(f"Still here: {shown}.", used_by=used)
        await self.uow.fetch(
            "DELETE FROM customers.contact_roles WHERE tenant_id = $1 AND account_id = $2",
            row.tenant_id,
            row.id,
        )

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:
        """Parents, completeness and duplicates of a chunk of new accounts."""
        earlier = options.earlier if options.dry_run else None
        await resolve_accounts(self.uow, rows, "parent", "parent_id", among=rows, earlier=earlier)
        await require_visible(self, rows, "parent_id", own=[row.id for row in rows if row.id])
        await check_new_tree(self.uow, rows, ACCOUNT_TREE)
        for row in rows:
            row.values["completeness"] = account_completeness(row.values)
        await mark_duplicates(self, rows, options)
        if earlier is not None:
            remember_accounts(rows, earlier)

    async def before_restore(self, row: Account, before: Mapping[str, Any]) -> None:
        """No account goes back under one that lies below it by now."""
        if before.get("parent_id") is not None:
            await self._check_parent(before["parent_id"], row.id)

    async def prepare_import_updates(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:
        """Parents of a chunk of changes; the rest as for single ones."""
        earlier = options.earlier if options.dry_run else None
        await resolve_accounts(self.uow, rows, "parent", "parent_id", earlier=earlier)
        await super().prepare_import_updates([row for row in rows if not row.faults], options)

    async def complete_import_updates(self, rows: Sequence[ImportRow]) -> None:
        """The moves of a chunk together: no loop, and no tree too deep."""
        await check_moves(self.uow, rows, ACCOUNT_TREE)

    async def after_import_updates(self, rows: Sequence[ImportRow]) -> None:
        """Say which of the changed accounts left a pool."""
        for row in rows:
            pool_id, owner_id = row.existing.pool_id, row.values.get("owner_id")
            if pool_id is not None and owner_id is not None:
                await self.uow.of(Pools).assigned("account", row.existing.id, pool_id, owner_id)

    # -- merging -------------------------------------------------------------------------------------------

    async def lock_merge(self) -> None:
        await ACCOUNT_TREE.lock(self.uow)

    def merge_preferences(self, rows: Sequence[Account]) -> Mapping[str, UUID]:
        """Once a customer, always a customer."""
        return {"lifecycle_stage": furthest_stage(rows)}

    async def complete_merge(self, row: Account, merged: Sequence[Account], changes: dict[str, Any]) -> None:
        if merged:
            changes["consents"] = latest_consents([row, *merged])
            await keep_place(self.uow, ACCOUNT_TREE, row, merged, changes)
        changes["completeness"] = account_completeness({**row.__dict__, **changes})
        await super().complete_merge(row, merged, changes)

    async def after_merge(self, row: Account, merged: Sequence[Account]) -> None:  # noqa: ARG002
        await ACCOUNT_TREE.recheck(self.uow, [row.id])

    async def after_unmerge(self, row: Account, restored: Sequence[UUID]) -> None:
        await clear_dead(self.uow, "customers.accounts", "parent_id", "customers.accounts", restored)
        await ACCOUNT_TREE.recheck(self.uow, [row.id, *restored])

    async def hierarchy(self, id: UUID) -> Hierarchy:
        """The tree around a visible account, as far as the actor may see it; parents come before children.

        To whom parents are hidden the account stands alone.
        """
        row = await self.get(id)
        hidden = self.actor.hidden(self.record.object)
        if "parent_id" in hidden:
            return Hierarchy(nodes=[_node({**row.__dict__, "depth": 0}, hidden)])
        bind = Bindings(self.uow.tenant_id, id, MAX_LEVELS + 1, _NODES_SHOWN)
        visible = visible_rows(self.actor, self.record.object, "read", bind)
        where = f" AND {visible}" if visible else ""
        rows = await self.uow.fetch(_TREE.format(where=where), *bind.values)
        return Hierarchy(nodes=[_node(dict(row), hidden) for row in rows])


def _node(row: Mapping[str, Any], hidden: Collection[str]) -> HierarchyNode:
    shown = {name: None if name in hidden else row[name] for name in HierarchyNode.model_fields}
    return HierarchyNode.model_validate(shown)


_USES = """
SELECT (SELECT count(*) FROM customers.accounts
        WHERE tenant_id = $1 AND parent_id = $2 AND deleted_at IS NULL) AS accounts,
  (SELECT count(*) FROM customers.contacts
   WHERE tenant_id = $1 AND account_id = $2 AND deleted_at IS NULL) AS contacts"""

_TREE = """
WITH RECURSIVE up AS (
  SELECT id, parent_id, 1 AS level FROM customers.accounts WHERE tenant_id = $1 AND id = $2
  UNION ALL
  SELECT a.id, a.parent_id, up.level + 1 FROM customers.accounts a JOIN up ON a.id = up.parent_id
  WHERE a.tenant_id = $1 AND up.level <= $3
), tree AS (
  SELECT id, 0 AS depth FROM (SELECT id FROM up ORDER BY level DESC LIMIT 1) top
  UNION ALL
  SELECT a.id, tree.depth + 1 FROM customers.accounts a JOIN tree ON a.parent_id = tree.id
  WHERE a.tenant_id = $1 AND a.deleted_at IS NULL AND tree.depth < $3
)
SELECT t.id, t.name, t.parent_id, tree.depth, t.lifecycle_stage, t.owner_id
FROM tree JOIN customers.accounts t ON t.tenant_id = $1 AND t.id = tree.id AND t.deleted_at IS NULL
WHERE true{where} ORDER BY tree.depth, t.name, t.id LIMIT $4"""

ACCOUNT: RecordType[Account] = RecordType(
    object="account",
    plural="accounts",
    module="customers",
    model=Account,
    read=AccountRead,
    create=AccountCreate,
    update=AccountUpdate,
    service=AccountService,
    merge=ACCOUNT_MERGE,
    search=Search(names=("name",), emails=("email",), phones=("phone",)),
    currencies={"credit_limit": "credit_currency"},
    contact_fields=("phone", "phones", "email", "emails"),
    labels={
        "name": ("Name", "Account", "Account name", "Company", "客户名称", "公司", "名称"),
        "kind": ("Kind", "Type", "客户类型"),
        "industry": ("Industry", "Sector", "行业"),
        "size": ("Size", "Employees", "规模", "人数"),
        "country": ("Country", "国家"),
        "region": ("Region", "State", "Province", "地区", "省份"),
        "city": ("City", "城市"),
        "address": ("Address", "Street", "地址"),
        "postal_code": ("Postal code", "Zip", "邮编"),
        "website": ("Website", "网站", "网址"),
        "phone": ("Phone", "Telephone", "电话"),
        "email": ("E-mail", "邮箱", "电子邮件"),
        "registration_number": ("Registration number", "统一社会信用代码", "注册号"),
        "source": ("Source", "来源"),
        "lifecycle_stage": ("Lifecycle stage", "客户阶段", "生命周期"),
        "rating": ("Rating", "热度", "评级"),
        "credit_limit": ("Credit limit", "信用额度"),
        "payment_terms_days": ("Payment terms (days)", "账期"),
        "preferred_channel": ("Preferred channel", "首选渠道"),
        "language": ("Language", "语言"),
        "description": ("Description", "描述", "备注"),
        "kind.company": ("企业", "公司", "公司客户"),
        "kind.person": ("个人", "个人客户"),
        "lifecycle_stage.subscriber": ("订阅者",),
        "lifecycle_stage.lead": ("线索",),
        "lifecycle_stage.qualified": ("合格线索", "已确认"),
        "lifecycle_stage.opportunity": ("商机",),
        "lifecycle_stage.customer": ("客户", "成交客户"),
        "lifecycle_stage.evangelist": ("推荐者",),
        "lifecycle_stage.lost": ("流失", "已流失"),
        "rating.hot": ("热", "高"),
        "rating.warm": ("温", "中"),
        "rating.cold": ("冷", "低"),
        "preferred_channel.email": ("邮件", "邮箱"),
        "preferred_channel.phone": ("电话",),
        "preferred_channel.sms": ("短信",),
        "preferred_channel.wechat": ("微信",),
        "preferred_channel.post": ("邮寄", "信函"),
    },
)
AccountService.record = ACCOUNT
