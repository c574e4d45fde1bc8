"""Members, teams and settings as the kernel and the modules ask for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import ARRAY, CollectionAggregate, Uuid, any_, literal

from app.kernel.contact import EmailInvalid, normalise_email
from app.kernel.errors import FieldError, Invalid
from app.kernel.pdf.documents import Brand, DocumentParty, paper_of
from app.kernel.uow import UnitOfWork
from app.tenants.interface import Letterhead, MemberRef, TeamRef, TenantSettings
from app.tenants.models import Logo, Member, MemberStatus, Team, Tenant


class Lookups:
    """Implements the kernel's `People` and our `Members`, which agree where they meet."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def require_members(self, ids: Collection[UUID], *, pointer: str) -> Mapping[UUID, UUID | None]:
        """The home team of each active member, held until the transaction ends so that none leaves meanwhile.

        Raises: Invalid at `pointer`.
        """
        if not ids:
            return {}
        # Deactivation takes a stronger lock on the row, so that it either sees our rows or is seen by us.
        rows = await self.uow.fetch(
            "SELECT id, team_ids[1] AS home FROM tenants.members WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
            " AND status = 'active' ORDER BY id" + (" FOR SHARE" if not self.uow.read_only else ""),
            self.uow.tenant_id,
            sorted(set(ids)),
        )
        found = {row["id"]: row["home"] for row in rows}
        _refuse_missing(ids, found, pointer, "unknown_member", "is no active member")
        return found

    async def require_teams(self, ids: Collection[UUID], *, pointer: str) -> None:
        """Raises: Invalid at `pointer` for an unknown team."""
        if not ids:
            return
        rows = await self.uow.fetch(
            "SELECT id FROM tenants.teams WHERE tenant_id = $1 AND id = ANY($2::uuid[]) ORDER BY id"
            + (" FOR KEY SHARE" if not self.uow.read_only else ""),
            self.uow.tenant_id,
            sorted(set(ids)),
        )
        _refuse_missing(ids, {row["id"] for row in rows}, pointer, "unknown_team", "is no team")

    async def names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        """Names of members, active or not."""
        if not ids:
            return {}
        rows = await self.uow.fetch(
            "SELECT id, name FROM tenants.members WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self.uow.tenant_id,
            list(set(ids)),
        )
        return {row["id"]: row["name"] for row in rows}

    async def addresses(self, ids: Collection[UUID]) -> Mapping[UUID, tuple[str, str]]:
        """Name and e-mail address of active members."""
        if not ids:
            return {}
        rows = await self.uow.fetch(
            "SELECT id, name, email FROM tenants.members WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
            " AND status = 'active'",
            self.uow.tenant_id,
            list(set(ids)),
        )
        return {row["id"]: (row["name"], row["email"]) for row in rows}

    async def members_by_email(self, emails: Collection[str]) -> Mapping[str, UUID]:
        """Active members by e-mail address as given; unknown and impossible ones are absent."""
        keys: dict[str, list[str]] = {}
        for email in emails:
            try:
                keys.setdefault(normalise_email(email), []).append(email)
            except EmailInvalid:
                continue
        if not keys:
            return {}
        rows = await self.uow.fetch(
            "SELECT id, email_key FROM tenants.members WHERE tenant_id = $1 AND email_key = ANY($2::text[])"
            " AND status = 'active'",
            self.uow.tenant_id,
            list(keys),
        )
        return {email: row["id"] for row in rows for email in keys[row["email_key"]]}

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, MemberRef]:
        """Members by id, active or not."""
        if not ids:
            return {}
        rows = await self.uow.all(self.uow.select(Member).where(Member.id == any_of(ids)))
        return {row.id: member_ref(row) for row in rows}

    async def in_role(self, role_key: str) -> list[MemberRef]:
        """The active members with a role, by name."""
        rows = await self.uow.fetch(
            "SELECT m.id, m.name, m.email, m.manager_id, m.team_ids FROM tenants.members m"
            " JOIN tenants.roles r ON r.tenant_id = $1 AND r.key = $2 AND r.id = ANY(m.role_ids)"
            " WHERE m.tenant_id = $1 AND m.status = 'active' ORDER BY m.name, m.id",
            self.uow.tenant_id,
            role_key,
        )
        return [
            MemberRef(r["id"], r["name"], r["email"], True, r["manager_id"], tuple(r["team_ids"]))
            for r in rows
        ]

    async def all(self) -> list[MemberRef]:
        """All members, active or not, by name."""
        statement = self.uow.select(Member).order_by(Member.name, Member.id)
        return [member_ref(row) for row in await self.uow.all(statement)]


class TeamLookups:
    """Implements `Teams`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, TeamRef]:
        """Teams by id."""
        if not ids:
            return {}
        rows = await self.uow.all(self.uow.select(Team).where(Team.id == any_of(ids)))
        return {row.id: TeamRef(row.id, row.name, row.parent_id, row.manager_id) for row in rows}

    async def all(self) -> list[TeamRef]:
        """All teams by name."""
        rows = await self.uow.all(self.uow.select(Team).order_by(Team.name, Team.id))
        return [TeamRef(row.id, row.name, row.parent_id, row.manager_id) for row in rows]

    async def members_of(self, team_id: UUID) -> list[MemberRef]:
        """The active members of one team, by name."""
        statement = self.uow.select(Member).where(
            Member.status == MemberStatus.ACTIVE.value, any_(Member.team_ids) == team_id
        )
        return [member_ref(row) for row in await self.uow.all(statement.order_by(Member.name, Member.id))]


class TenantLookups:
    """Implements `Tenants`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def settings(self) -> TenantSettings:
        """The settings of the tenant at hand."""
        row = await self.uow.get(Tenant, self.uow.tenant_id)
        return TenantSettings(
            name=row.name,
            locale=row.locale,
            time_zone=row.time_zone,
            currency=row.currency,
            country=row.country,
            fiscal_year_start_month=row.fiscal_year_start_month,
            business_calendar=row.business_calendar,
        )

    async def letterhead(self) -> Letterhead:
        """What the documents of the tenant at hand begin with."""
        row = await self.uow.get(Tenant, self.uow.tenant_id)
        logo = await self.uow.find(Logo, self.uow.tenant_id) if row.logo_hash else None
        return Letterhead(
            seller=DocumentParty(
                name=row.legal_name or row.name,
                lines=tuple((row.address or "").splitlines()),
                tax_number=row.tax_number,
            ),
            brand=Brand(color=row.brand_color, logo=logo.content if logo else None),
            paper=paper_of(row.country),
            bank_details=row.bank_details,
        )


def any_of(ids: Collection[UUID]) -> CollectionAggregate[bool]:
    """`= ANY($1::uuid[])`: one bound array, where IN would make a statement per length."""
    return any_(literal(list(set(ids)), ARRAY(Uuid())))


def member_ref(row: Member) -> MemberRef:
    active = row.status == MemberStatus.ACTIVE.value
    return MemberRef(row.id, row.name, row.email, active, row.manager_id, tuple(row.team_ids))


def _refuse_missing(
    ids: Collection[UUID], found: Collection[UUID], pointer: str, code: str, what: str
) -> None:
    missing = [id for id in dict.fromkeys(ids) if id not in found]
    if missing:
        raise Invalid(
            f"{missing[0]} {what}.",
            errors=[FieldError(pointer, code, f"{id} {what}.") for id in missing[:100]],
        )
