"""Contacts: their rules as records, and their parts in accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.company_names import person_core
from app.kernel.duplicate_imports import mark_duplicates
from app.kernel.duplicates import Beside, DuplicateAware, DuplicateSpec, scoped
from app.kernel.errors import Conflict, Invalid, NotFound, Problem, require_version
from app.kernel.imports.rules import ImportOptions, ImportRow, ImportRules
from app.kernel.listing import Bindings
from app.kernel.records import RecordType, Search
from app.modules.customers.interface import AccountUser
from app.modules.customers.models import Contact, ContactRole, Role
from app.modules.customers.schemas import (
    Committee,
    CommitteeMember,
    ContactCreate,
    ContactRead,
    ContactRoleRead,
    ContactUpdate,
    Named,
    RoleInput,
    display_name,
)
from app.modules.customers.services.accounts import AccountService, holds_account
from app.modules.customers.services.imports import (
    ACCOUNT_OF_CONTACT,
    check_moves,
    require_visible,
    resolve_accounts,
)
from app.modules.customers.services.merge_rules import (
    CONTACT_MERGE,
    clear_dead,
    keep_place,
    latest_consents,
)
from app.modules.customers.services.quality import contact_completeness
from app.modules.customers.services.trees import Tree

MAX_LEVELS = 20
CONTACT_TREE = Tree("customers.contacts", "reports_to_id", MAX_LEVELS)
_MEMBERS_SHOWN = 500


class ContactInUse(Conflict):
    """`used_by` counts what refers to the contact."""

    code = "contact_in_use"
    title = "Other records refer to this contact"


def _require_account(found: bool) -> None:
    if not found:
        raise Invalid.at("/account_id", "unknown_reference", "There is no account with this id.")


def contact_name_key(values: Any) -> str | None:
    """A name says who somebody is only within an account: there are many of the same name elsewhere."""
    if not values.get("account_id") or not values.get("name"):
        return None
    return scoped(values["account_id"], person_core(values["name"]))


CONTACT_DUPLICATES = DuplicateSpec(
    name_key=contact_name_key,
    emails=("email", "emails"),
    phones=("mobile", "phone"),
    exact_scope=True,
)


class ContactService(ImportRules, DuplicateAware[Contact]):
    """What is particular about contacts among records."""

    duplicates = CONTACT_DUPLICATES
    import_columns = (ACCOUNT_OF_CONTACT,)

    async def before_create(self, values: dict[str, Any]) -> None:
        _check_role(values)
        values["completeness"] = contact_completeness(values)
        values["consents"] = {}
        await super().before_create(values)  # holds the compared forms, as imports do before the tree
        if values.get("reports_to_id") is not None:
            await self._check_superior(values["reports_to_id"], None)

    def beside_duplicates(self, values: Mapping[str, Any]) -> Beside | None:
        """Whether the account is there and visible; it is held until the transaction ends."""
        account_id = values.get("account_id")
        if account_id is None:
            return None
        return Beside(partial(holds_account, self.uow, account_id), _require_account)

    async def before_update(self, row: Contact, changes: dict[str, Any]) -> None:
        account_id = changes.get("account_id", row.account_id)
        if account_id != row.account_id:
            await self._check_account(account_id)
            if "role" not in changes:
                changes["role"] = None  # what they played was their part in the former account
        _check_role({**row.__dict__, **changes})
        superior = changes.get("reports_to_id")
        if superior is not None and superior != row.reports_to_id:
            await self._check_superior(superior, row.id)
        _rename(row, changes)
        changes["completeness"] = contact_completeness({**row.__dict__, **changes})
        await super().before_update(row, changes)

    async def after_update(self, before: Contact, after: Contact) -> None:
        if after.account_id is not None and after.account_id != before.account_id:
            await self._drop_link(after.id, after.account_id)

    async def _check_account(self, account_id: UUID | None) -> None:
        if account_id is None:
            return
        _require_account(account_id in await AccountService(self.uow).get_many([account_id], lock="share"))

    async def _check_superior(self, superior: UUID, id: UUID | None) -> None:
        if superior not in await self.get_many([superior]):
            raise Invalid.at("/reports_to_id", "unknown_reference", "There is no contact with this id.")
        await CONTACT_TREE.check(self.uow, superior, id=id)

    async def before_delete(self, row: Contact) -> None:
        """Refuse while records of other modules need the contact. Raises `ContactInUse`."""
        used: dict[str, int] = {}
        for user in self.uow.ports(AccountUser):
            used |= {name: count for name, count in (await user.uses("contact", row.id)).items() if count}
        if used:
            shown = ", ".join(f"{count} {name}" for name, count in used.items())
            raise ContactInUse(f"Still here: {shown}.", used_by=used)
        await self.uow.fetch(
            "DELETE FROM customers.contact_roles WHERE tenant_id = $1 AND contact_id = $2",
            row.tenant_id,
            row.id,
        )
        await self.uow.fetch(
            "UPDATE customers.contacts SET reports_to_id = NULL, version = version + 1, updated_at = $3"
            " WHERE tenant_id = $1 AND reports_to_id = $2 AND deleted_at IS NULL",
            row.tenant_id,
            row.id,
            self.uow.now,
        )

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:
        """Accounts, superiors, completeness and duplicates of a chunk of new contacts."""
        await resolve_accounts(self.uow, rows, "account", "account_id")
        await require_visible(AccountService(self.uow), rows, "account_id")
        await require_visible(self, rows, "reports_to_id")
        for row in rows:
            try:
                _check_role(row.values)
            except Problem as problem:
                row.refuse_by(problem)
            row.values["completeness"] = contact_completeness(row.values)
        await mark_duplicates(self, rows, options)

    async def before_restore(self, row: Contact, before: Mapping[str, Any]) -> None:
        """Nobody reports again to who reports to them by now."""
        if before.get("reports_to_id") is not None:
            await self._check_superior(before["reports_to_id"], row.id)

    async def prepare_import_updates(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:
        """Accounts of a chunk of changes; the rest as for single ones."""
        await resolve_accounts(self.uow, rows, "account", "account_id")
        await super().prepare_import_updates([row for row in rows if not row.faults], options)

    async def complete_import_updates(self, rows: Sequence[ImportRow]) -> None:
        """Who reports to whom, of all rows together: no circle."""
        await check_moves(self.uow, rows, CONTACT_TREE)

    async def after_import_updates(self, rows: Sequence[ImportRow]) -> None:
        """A part in what became the first account is no further one any more."""
        moved = [row for row in rows if row.values.get("account_id") is not None]
        if not moved:
            return
        await self.uow.fetch(
            "DELETE FROM customers.contact_roles r USING unnest($2::uuid[], $3::uuid[]) AS m(contact_id, account_id)"
            " WHERE r.tenant_id = $1 AND r.contact_id = m.contact_id AND r.account_id = m.account_id",
            self.uow.tenant_id,
            [row.existing.id for row in moved],
            [row.values["account_id"] for row in moved],
        )

    # -- merging -------------------------------------------------------------------------------------------

    async def lock_merge(self) -> None:
        await CONTACT_TREE.lock(self.uow)

    async def complete_merge(self, row: Contact, merged: Sequence[Contact], changes: dict[str, Any]) -> None:
        if merged:
            changes["consents"] = latest_consents([row, *merged])
            await keep_place(self.uow, CONTACT_TREE, row, merged, changes)
        changes["completeness"] = contact_completeness({**row.__dict__, **changes})
        await super().complete_merge(row, merged, changes)

    async def after_merge(self, row: Contact, merged: Sequence[Contact]) -> None:  # noqa: ARG002
        await CONTACT_TREE.recheck(self.uow, [row.id])

    async def after_unmerge(self, row: Contact, restored: Sequence[UUID]) -> None:
        own, no_role = "customers.contacts", ", role = NULL, name_key = NULL"
        await clear_dead(self.uow, own, "account_id", "customers.accounts", restored, no_role)
        await clear_dead(self.uow, own, "reports_to_id", own, restored)
        await CONTACT_TREE.recheck(self.uow, [row.id, *restored])

    # -- parts in accounts -----------------------------------------------------------------------------------

    async def roles(self, id: UUID) -> list[ContactRoleRead]:
        """The accounts that a visible contact has a part in, the first one first."""
        row = await self.get(id)
        links = await self.uow.all(
            self.uow.select(ContactRole).where(ContactRole.contact_id == id).order_by(ContactRole.id)
        )
        parts = [(link.account_id, link.role, False) for link in links]
        if row.account_id is not None:
            parts.insert(0, (row.account_id, row.role, True))
        accounts = await AccountService(self.uow).get_many([account_id for account_id, _, _ in parts])
        hides_role = "role" in self.actor.hidden("contact")
        return [
            ContactRoleRead(
                account=Named(id=account_id, name=accounts[account_id].name),
                role=Role(role) if role and not hides_role else None,
                is_primary=primary,
            )
            for account_id, role, primary in parts
            if account_id in accounts
        ]

    async def set_role(
        self, id: UUID, account_id: UUID, wanted: RoleInput, *, expected_version: int
    ) -> Contact:
        """Give a contact a part in an account, or another one. Raises `NotFound`, `StaleVersion`."""
        row = await self._locked(id, expected_version)
        if account_id not in await AccountService(self.uow).get_many([account_id], lock="share"):
            raise NotFound
        if account_id == row.account_id:
            return await self.change(row, {"role": wanted.role})
        if wanted.is_primary:
            changed = await self.change(row, {"account_id": account_id, "role": wanted.role})
            if row.account_id is not None:
                await self._link(id, row.account_id, row.role)
            return changed
        former = await self._link(id, account_id, wanted.role)
        return await self._touched(row, account_id, former, wanted.role)

    async def remove_role(self, id: UUID, account_id: UUID, *, expected_version: int) -> Contact:
        """End a contact's part in an account. Raises `NotFound` if they have none."""
        row = await self._locked(id, expected_version)
        if account_id == row.account_id:
            return await self.change(row, {"account_id": None, "role": None})
        former = await self._drop_link(id, account_id)
        if former is None:
            raise NotFound
        return await self._touched(row, account_id, former["role"], None, action="role_removed")

    async def _locked(self, id: UUID, expected_version: int) -> Contact:
        row = await self.get(id, action="update", lock="update")
        require_version(row.version, expected=expected_version)
        return row

    async def _link(self, id: UUID, account_id: UUID, role: str | None) -> str | None:
        found = await self.uow.first(
            self.uow.select(ContactRole).where(
                ContactRole.contact_id == id, ContactRole.account_id == account_id
            )
        )
        if found is not None:
            await self.uow.update(found, role=role)
            return found.role
        await self.uow.insert(
            ContactRole, contact_id=id, account_id=account_id, role=role, created_by=self.actor.member_id
        )
        return None

    async def _drop_link(self, id: UUID, account_id: UUID) -> Any:
        return await self.uow.fetchrow(
            "DELETE FROM customers.contact_roles WHERE tenant_id = $1 AND contact_id = $2 AND account_id = $3"
            " RETURNING role",
            self.uow.tenant_id,
            id,
            account_id,
        )

    async def _touched(
        self, row: Contact, account_id: UUID, before: str | None, after: str | None, action: str = "role_set"
    ) -> Contact:
        """A further part belongs to the contact's state, so it counts as a version and an entry in the log."""
        await self.uow.fetch(
            "UPDATE customers.contacts SET version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2",
            row.tenant_id,
            row.id,
            self.uow.now,
        )
        changes: dict[str, list[Any]] = {"role": [before, after], "account_id": [None, account_id]}
        self.uow.record_audit(self.record.object, row.id, action, changes)
        changed = await self.uow.get(Contact, row.id)
        self.uow.publish(
            self.record.updated(
                id=row.id, version=changed.version, changed=["roles"], record=self.record.snapshot(changed)
            )
        )
        return changed

    async def committee(self, account_id: UUID) -> Committee:
        """The people of a visible account by role, as far as the actor may see them."""
        await AccountService(self.uow).get(account_id)
        return await self.committee_of(account_id)

    async def committee_of(self, account_id: UUID) -> Committee:
        """The same for an account that is known to be visible."""
        bind = Bindings(self.uow.tenant_id, account_id, _MEMBERS_SHOWN)
        if not self.actor.may("contact:read"):
            return Committee(members=[], missing_roles=list(Role))
        visible = visible_rows(self.actor, "contact", "read", bind)
        rows = await self.uow.fetch(
            _COMMITTEE.format(where=f" AND {visible}" if visible else ""), *bind.values
        )
        hidden = self.actor.hidden("contact")
        members = [_member(row, hidden) for row in rows]
        played = {member.role for member in members}
        return Committee(members=members, missing_roles=[role for role in Role if role not in played])


def _member(row: Any, hidden: frozenset[str]) -> CommitteeMember:
    names = ("title", "department", "email", "mobile", "phone", "role", "reports_to_id")
    shown = {name: None if name in hidden else row[name] for name in names}
    shown["phone"] = shown.pop("mobile") or shown["phone"]
    return CommitteeMember(
        contact=Named(id=row["id"], name=row["name"]), is_primary=row["is_primary"], **shown
    )


def _check_role(values: dict[str, Any]) -> None:
    if values.get("role") is not None and values.get("account_id") is None:
        raise Invalid.at("/role", "account_required", "A role is played in an account; say which one.")


def _rename(row: Contact, changes: dict[str, Any]) -> None:
    """A name that was made from its parts follows them."""
    if "name" in changes or not {"family_name", "given_name"} & changes.keys():
        return
    if row.name == display_name(row.family_name, row.given_name):
        made = display_name(
            changes.get("family_name", row.family_name), changes.get("given_name", row.given_name)
        )
        if made:
            changes["name"] = made[:200]


_COMMITTEE = """
SELECT t.id, t.name, t.title, t.department, t.email, t.mobile, t.phone, t.reports_to_id,
  part.role, part.is_primary
FROM (
  SELECT id, role, true AS is_primary FROM customers.contacts
  WHERE tenant_id = $1 AND account_id = $2 AND deleted_at IS NULL
  UNION ALL
  SELECT contact_id, role, false FROM customers.contact_roles WHERE tenant_id = $1 AND account_id = $2
) part JOIN customers.contacts t ON t.tenant_id = $1 AND t.id = part.id AND t.deleted_at IS NULL
WHERE true{where}
ORDER BY array_position(
  ARRAY['decision_maker', 'champion', 'influencer', 'user', 'gatekeeper', 'blocker'], part.role),
  t.name, t.id LIMIT $3"""

CONTACT: RecordType[Contact] = RecordType(
    object="contact",
    plural="contacts",
    module="customers",
    model=Contact,
    read=ContactRead,
    create=ContactCreate,
    update=ContactUpdate,
    service=ContactService,
    merge=CONTACT_MERGE,
    search=Search(names=("name",), emails=("email",), phones=("mobile", "phone")),
    labels={
        "name": ("Name", "Full name", "姓名", "联系人"),
        "family_name": ("Family name", "Last name", "Surname", "姓"),
        "given_name": ("Given name", "First name", "名"),
        "title": ("Title", "Job title", "职务"),
        "department": ("Department", "部门"),
        "role": ("Role", "角色"),
        "email": ("E-mail", "邮箱", "电子邮件"),
        "phone": ("Phone", "Telephone", "电话"),
        "mobile": ("Mobile", "手机"),
        "country": ("Country", "国家"),
        "region": ("Region", "State", "Province", "地区", "省份"),
        "city": ("City", "城市"),
        "address": ("Address", "地址"),
        "source": ("Source", "来源"),
        "language": ("Language", "语言"),
        "time_zone": ("Time zone", "时区"),
        "description": ("Description", "描述", "备注"),
        "role.decision_maker": ("决策者", "决策人"),
        "role.influencer": ("影响者",),
        "role.user": ("使用者", "用户"),
        "role.gatekeeper": ("把关者",),
        "role.champion": ("支持者", "内部支持者"),
        "role.blocker": ("反对者",),
    },
)
ContactService.record = CONTACT
