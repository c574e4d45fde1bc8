"""Targets: who is to reach what in which period, how far it is, and whether the members' add up to the team's.

Attainment is attained ÷ target. Attained are, of what the reader sees: the home amounts and the number of what was
won, by `closed_on`; the opportunities opened, by `opened_on`; the activities done. A member's count by owner. A
team's are those of the opportunities of the team and the teams below; its activities are those of the members whose
first team is one of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from app.kernel.access import Scope, visible_rows
from app.kernel.errors import Forbidden, Invalid, NotFound, require_version
from app.kernel.listing import Bindings
from app.kernel.money import Money, MoneySum
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ActivityCounts
from app.modules.opportunities.reading.models import Target
from app.modules.opportunities.reading.periods import Period, period_of
from app.modules.opportunities.reading.reach import TeamTree, amounts_hidden
from app.modules.opportunities.reading.schemas import TargetCreate, TargetRead, TargetUpdate, share
from app.tenants.interface import MemberRef, Members

OBJECT: Final = "target"


@dataclass(frozen=True)
class Organisation:
    """Everybody and every team, read once."""

    members: dict[UUID, MemberRef]
    tree: TeamTree

    @classmethod
    async def load(cls, uow: UnitOfWork) -> Organisation:
        members = {member.id: member for member in await uow.of(Members).all()}
        return cls(members, await TeamTree.load(uow))

    def members_in(self, teams: Iterable[UUID]) -> set[UUID]:
        """Members of any of the teams."""
        wanted = set(teams)
        return {member.id for member in self.members.values() if not wanted.isdisjoint(member.team_ids)}

    def at_home_in(self, teams: Iterable[UUID]) -> set[UUID]:
        """Members whose first team is one of these: roll-ups count everybody once."""
        wanted = set(teams)
        return {m.id for m in self.members.values() if m.team_ids and m.team_ids[0] in wanted}

    def name(self, subject: str, id: UUID) -> str | None:
        if subject == "member":
            return self.members[id].name if id in self.members else None
        return self.tree.teams[id].name if id in self.tree.teams else None


def sees(uow: UnitOfWork, permission: str, subject: str, id: UUID) -> bool:
    """Whether a target or a line of the forecast of a member or team lies within the scope of a permission.

    Members outside one's teams cannot be told here: `members_of_reach` says who is inside.
    """
    actor, scope = uow.actor, uow.actor.scope(permission)
    if scope is Scope.ALL:
        return True
    if subject == "team" and scope >= Scope.TEAM:
        return id in (actor.team_ids_below if scope is Scope.TEAM_AND_BELOW else actor.team_ids)
    return subject == "member" and id == actor.member_id


def reached_members(uow: UnitOfWork, permission: str, people: Organisation) -> set[UUID]:
    """Members within the scope of a permission: oneself, and those of one's teams as far as it reaches."""
    actor, scope = uow.actor, uow.actor.scope(permission)
    if scope is Scope.ALL:
        return set(people.members)
    own = {actor.member_id} if actor.member_id and scope is not Scope.NONE else set()
    if scope < Scope.TEAM:
        return own
    return own | people.members_in(actor.team_ids_below if scope is Scope.TEAM_AND_BELOW else actor.team_ids)


class TargetService:
    """Targets of the tenant at hand, as far as one may see and set them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def create(self, body: TargetCreate) -> Target:
        """Raises `Forbidden`, `Invalid`, and `DuplicateValue` where there is one already."""
        uow = self._uow
        period = period_of(body.period, body.starts_on, uow.now, uow.actor.tenant, "/starts_on")
        subject, id = "tenant", uow.tenant_id
        if body.member_id is not None:
            subject, id = "member", body.member_id
            await uow.of(People).require_members([id], pointer="/member_id")
        elif body.team_id is not None:
            subject, id = "team", body.team_id
            await uow.of(People).require_teams([id], pointer="/team_id")
        await self._require(subject, id)
        _check_currency(uow, body.amount)
        return await uow.insert(
            Target,
            audit=OBJECT,
            subject=subject,
            subject_id=id,
            period=period.kind,
            starts_on=period.starts_on,
            measure=body.measure,
            amount=body.amount and body.amount.amount_minor,
            currency=body.amount and body.amount.currency,
            quantity=body.quantity,
        )

    async def update(self, id: UUID, body: TargetUpdate, *, expected_version: int) -> Target:
        """Raises `NotFound`, `Forbidden`, `StaleVersion`, `Invalid`."""
        row = await self._locked(id, expected_version)
        for name in sorted(body.model_fields_set):
            value = getattr(body, name)
            if (name == "amount") != (row.measure == "won_amount") or value is None:
                raise Invalid.at(f"/{name}", "amount_or_quantity", f"{row.measure} takes another value.")
            if isinstance(value, Money):
                _check_currency(self._uow, value)
                return await self._uow.update(
                    row, audit=OBJECT, amount=value.amount_minor, currency=value.currency
                )
            return await self._uow.update(row, audit=OBJECT, quantity=value)
        return row

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        await self._uow.delete(await self._locked(id, expected_version), audit=OBJECT)

    async def _locked(self, id: UUID, expected_version: int) -> Target:
        await self.get(id)
        row = await self._uow.get(Target, id, lock="update")
        await self._require(row.subject, row.subject_id)
        require_version(row.version, expected=expected_version)
        return row

    async def _require(self, subject: str, id: UUID) -> None:
        """Targets of others are set within the scope of `target:manage`."""
        if sees(self._uow, "target:manage", subject, id):
            return
        people = await Organisation.load(self._uow)
        if subject != "member" or id not in reached_members(self._uow, "target:manage", people):
            raise Forbidden("You may not set targets for them.", permission="target:manage")

    # -- reading -------------------------------------------------------------------------------------------

    async def get(self, id: UUID) -> Target:
        """Raises `NotFound`, also for what one does not see."""
        row = await self._uow.get(Target, id)
        if not sees(self._uow, "target:read", row.subject, row.subject_id):
            people = await Organisation.load(self._uow)
            if row.subject != "member" or row.subject_id not in reached_members(
                self._uow, "target:read", people
            ):
                raise NotFound
        return row

    async def seen(self, rows: Sequence[Target], people: Organisation) -> list[Target]:
        """Those of `rows` within the scope of `target:read`."""
        members = reached_members(self._uow, "target:read", people)
        return [
            row
            for row in rows
            if sees(self._uow, "target:read", row.subject, row.subject_id)
            or (row.subject == "member" and row.subject_id in members)
        ]

    async def render(self, rows: Sequence[Target]) -> list[TargetRead]:
        """Targets with what is attained; a fixed number of statements per period among them."""
        people = await Organisation.load(self._uow)
        found: list[TargetRead] = []
        attained: dict[tuple[Period, str], Attained] = {}
        siblings = await self._siblings(rows)
        for row in rows:
            period = Period(row.period, row.starts_on)  # type: ignore[arg-type]
            key = (period, "activities" if row.measure == "activities" else "deals")
            if key not in attained:
                attained[key] = await Attained.load(self._uow, period, activities=key[1] == "activities")
            found.append(self._render(row, period, people, attained[key], siblings))
        return found

    async def _siblings(self, rows: Sequence[Target]) -> Sequence[Any]:
        """Members' targets of the same periods and measures, for roll-ups."""
        return await self._uow.fetch(
            "SELECT DISTINCT m.subject_id, m.period, m.starts_on, m.measure, m.amount, m.currency, m.quantity"
            " FROM opportunities.targets m"
            " JOIN unnest($2::text[], $3::date[], $4::text[]) w(period, starts_on, measure)"
            " ON m.period = w.period AND m.starts_on = w.starts_on AND m.measure = w.measure"
            " WHERE m.tenant_id = $1 AND m.subject = 'member'",
            self._uow.tenant_id,
            [row.period for row in rows],
            [row.starts_on for row in rows],
            [row.measure for row in rows],
        )

    def _render(
        self, row: Target, period: Period, people: Organisation, attained: Attained, siblings: Sequence[Any]
    ) -> TargetRead:
        teams = people.tree.below(row.subject_id) if row.subject == "team" else None
        inside = people.at_home_in(teams) if teams is not None else None
        value = attained.of(row.measure, row.subject, row.subject_id, teams, inside)
        by_amount = row.measure == "won_amount"
        hidden = by_amount and amounts_hidden(self._uow)
        home = self._uow.actor.tenant.currency
        wanted = row.amount if by_amount else row.quantity
        comparable = not by_amount or row.currency == home
        return TargetRead(
            id=row.id,
            version=row.version,
            subject=row.subject,  # type: ignore[arg-type]
            member_id=row.subject_id if row.subject == "member" else None,
            team_id=row.subject_id if row.subject == "team" else None,
            name=people.name(row.subject, row.subject_id)
            if row.subject != "tenant"
            else self._uow.actor.tenant.name,
            period=period.kind,
            starts_on=period.starts_on,
            ends_on=period.ends_on,
            measure=row.measure,  # type: ignore[arg-type]
            amount=Money(row.amount, row.currency) if row.amount and row.currency and not hidden else None,
            quantity=row.quantity,
            attained_amount=MoneySum(value, home) if by_amount and not hidden else None,
            attained_quantity=None if by_amount else value,
            attainment=share(value, wanted or 0) if comparable and not hidden else None,
            members_total=None if hidden else self._rolled_up(row, inside, siblings),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    def _rolled_up(
        self, row: Target, inside: set[UUID] | None, siblings: Sequence[Any]
    ) -> Money | int | None:
        if row.subject == "member":
            return None
        same = [
            one
            for one in siblings
            if (one["period"], one["starts_on"], one["measure"]) == (row.period, row.starts_on, row.measure)
            and (inside is None or one["subject_id"] in inside)
        ]
        if row.measure != "won_amount":
            return sum(int(one["quantity"]) for one in same)
        currency = row.currency or ""
        return MoneySum(sum(one["amount"] for one in same if one["currency"] == currency), currency)


class Attained:
    """What was attained in a period, by owner and team, of what the actor sees."""

    def __init__(self, rows: Sequence[tuple[UUID | None, UUID | None, dict[str, int]]]) -> None:
        self._rows = rows

    @classmethod
    async def load(cls, uow: UnitOfWork, period: Period, *, activities: bool) -> Attained:
        tenant = uow.actor.tenant
        if activities:
            counts = await uow.of(ActivityCounts).done(
                tenant.midnight(period.starts_on), tenant.midnight(period.before)
            )
            return cls([(row.member_id, None, {"activities": row.count}) for row in counts])
        bind = Bindings(uow.tenant_id)
        visible = visible_rows(uow.actor, "opportunity", "read", bind)
        first, last, home = bind(period.starts_on), bind(period.before), bind(tenant.currency)
        live = (
            "FROM opportunities.opportunities_read t WHERE t.tenant_id = $1 AND t.deleted_at IS NULL"
            f"{f' AND {visible}' if visible else ''}"
        )
        rows = await uow.fetch(
            "SELECT owner_id, team_id, sum(opened)::bigint AS new_opportunities, sum(won)::bigint AS won_count,"
            " sum(won_home) AS won_amount FROM ("
            f"SELECT t.owner_id, t.team_id, 1 AS opened, 0 AS won, NULL::bigint AS won_home {live}"
            f" AND t.opened_on >= {first} AND t.opened_on < {last}"
            " UNION ALL SELECT t.owner_id, t.team_id, 0, 1,"
            f" CASE WHEN t.home_currency = {home}::text THEN t.amount_home END {live} AND t.status = 'won'"
            f" AND t.closed_on >= {first} AND t.closed_on < {last}) d GROUP BY owner_id, team_id",
            *bind.values,
        )
        names = ("new_opportunities", "won_count", "won_amount")
        return cls(
            [(row["owner_id"], row["team_id"], {name: int(row[name] or 0) for name in names}) for row in rows]
        )

    def of(
        self, measure: str, subject: str, id: UUID, teams: set[UUID] | None, members: set[UUID] | None
    ) -> int:
        """The sum for a member, for teams (activities: for their members), or for everybody."""

        def counts(owner: UUID | None, team: UUID | None) -> bool:
            if subject == "member":
                return owner == id
            if subject == "team":
                if measure == "activities":
                    return owner in (members or ())
                return team in (teams or ())
            return True

        return sum(figures.get(measure, 0) for owner, team, figures in self._rows if counts(owner, team))


def _check_currency(uow: UnitOfWork, amount: Money | None) -> None:
    home = uow.actor.tenant.currency
    if amount is not None and amount.currency != home:
        raise Invalid.at(
            "/amount/currency", "home_currency", f"Targets are in the company's currency, {home}."
        )
