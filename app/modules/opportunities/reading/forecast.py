"""The forecast of a period: what was won, what is open by category, what people stand for, and the target.

`closed` is what was won in the period, by `closed_on`; the other categories are what is open and expected to be
closed in it, by their forecast category (an open one filed under `closed` counts as `commit`). A member's
line is of what they own, a team's of what belongs to it and to the teams below. Weighted is won plus Σ amount ×
probability ÷ 100 of what is open, rounded half up once. Attainment is closed ÷ target, the gap target − closed.
Submitted figures roll up by the members' first teams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.listing import Bindings
from app.kernel.money import Money, MoneySum
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.models import ForecastCategory
from app.modules.opportunities.reading.models import Target
from app.modules.opportunities.reading.periods import Period
from app.modules.opportunities.reading.reach import Reach, amounts_hidden, require_shown
from app.modules.opportunities.reading.schemas import CategoryFigures, Forecast, ForecastLine, Subject, share
from app.modules.opportunities.reading.submissions import SubmissionService, Submitted
from app.modules.opportunities.reading.sums import none, percent_of, whole
from app.modules.opportunities.reading.targets import Organisation, TargetService, sees

CATEGORIES: Final = (
    ForecastCategory.CLOSED,
    ForecastCategory.COMMIT,
    ForecastCategory.BEST_CASE,
    ForecastCategory.PIPELINE,
)


@dataclass
class _Figures:
    count: int = 0
    home: int = 0
    weighted: int = 0  # minor units times percent


@dataclass
class _Line:
    """One line while it is added up."""

    categories: dict[str, _Figures] = field(default_factory=lambda: {name: _Figures() for name in CATEGORIES})
    unconverted: int = 0

    def add(self, category: str, row: Any) -> None:
        found = self.categories[category]
        found.count += whole(row["n"])
        found.home += whole(row["home"])
        found.weighted += whole(row["weighted_home"])
        self.unconverted += whole(row["missing"])

    @property
    def weighted(self) -> int:
        return percent_of(sum(found.weighted for found in self.categories.values()))


def category_of(status: str, category: str) -> str:
    """Where an opportunity counts: won ones are closed, and an open one never is."""
    if status == "won":
        return ForecastCategory.CLOSED
    return ForecastCategory.COMMIT if category == ForecastCategory.CLOSED else category


class ForecastService:
    """One statement over kept sums, and a fixed number for people, targets and submissions."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def forecast(self, period: Period, member_id: UUID | None, team_id: UUID | None) -> Forecast:
        """Lines of everything, teams and members that the actor sees. Raises `NotFound` for unknown ones."""
        require_shown(self._uow, "stage", "expected_close_on")
        people = await Organisation.load(self._uow)
        if (member_id is not None and member_id not in people.members) or (
            team_id is not None and team_id not in people.tree.teams
        ):
            raise NotFound("There is no such member or team.")
        everything, members, teams, undated = await self._add_up(period, people)
        submitted = await SubmissionService(self._uow).latest(period, people)
        targets = await self._targets(period, people)
        render = _Renderer(self._uow, people, submitted, targets)
        lines = []
        if member_id is None and team_id is None:
            lines.append(render.line("tenant", None, everything, set(submitted.members)))
        below = people.tree.below(team_id) if team_id is not None else None
        for id in sorted(people.tree.teams, key=lambda id: (people.tree.teams[id].name, str(id))):
            if member_id is not None or (below is not None and id not in below):
                continue
            inside = people.at_home_in(people.tree.below(id))
            if id in teams or inside & submitted.members or (sees(self._uow, "opportunity:read", "team", id)):
                lines.append(render.line("team", id, teams.get(id) or _Line(), inside))
        shown = members.keys() | submitted.members | {id for kind, id in targets if kind == "member"}
        if below is not None:
            shown &= people.at_home_in(below)
        if member_id is not None:
            shown = {member_id}
        for id in sorted(shown & people.members.keys(), key=lambda id: (people.members[id].name, str(id))):
            line = members.get(id) or _Line()
            lines.append(render.line("member", id, line, {id}))
        return Forecast(
            period=period.kind,
            starts_on=period.starts_on,
            ends_on=period.ends_on,
            data=lines,
            undated=undated,
        )

    async def _add_up(
        self, period: Period, people: Organisation
    ) -> tuple[_Line, dict[UUID, _Line], dict[UUID, _Line], int]:
        rows = await self._rows(period)
        everything, undated = _Line(), 0
        members: dict[UUID, _Line] = {}
        teams: dict[UUID, _Line] = {}
        for row in rows:
            if row["undated"]:
                undated += whole(row["n"])
                continue
            category = category_of(row["status"], row["category"])
            everything.add(category, row)
            owner, team = none(row["owner_id"]), none(row["team_id"])
            if owner is not None:
                members.setdefault(owner, _Line()).add(category, row)
            for above in people.tree.above(team):
                teams.setdefault(above, _Line()).add(category, row)
        return everything, members, teams, undated

    async def _rows(self, period: Period) -> Sequence[Any]:
        bind = Bindings(self._uow.tenant_id)
        first, last = bind(period.starts_on), bind(period.before)
        home = bind(self._uow.actor.tenant.currency)
        where = (
            f"((t.month >= {first} AND t.month < {last} AND t.status <> 'lost')"
            " OR (t.month = '-infinity' AND t.status = 'open'))"
        )
        day = "coalesce(t.closed_on, t.expected_close_on)"
        live = f"t.status <> 'lost' AND ({day} IS NULL OR ({day} >= {first} AND {day} < {last}))"
        return await self._uow.fetch(
            "SELECT owner_id, team_id, status, category, month = '-infinity' AS undated,"
            f" sum(n) AS n, sum(amount_home) FILTER (WHERE home_currency = {home}) AS home,"
            f" sum(weighted_home) FILTER (WHERE home_currency = {home}) AS weighted_home,"
            f" sum(missing) + coalesce(sum(n) FILTER (WHERE home_currency NOT IN ('', {home})), 0) AS missing"
            f" FROM ({Reach(self._uow, bind).sums(where, live)}) r GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0",
            *bind.values,
        )

    async def _targets(self, period: Period, people: Organisation) -> dict[tuple[str, UUID], Target]:
        if not self._uow.actor.may("target:read"):
            return {}
        statement = self._uow.select(Target).where(
            Target.period == period.kind,
            Target.starts_on == period.starts_on,
            Target.measure == "won_amount",
            Target.currency == self._uow.actor.tenant.currency,
        )
        rows = await TargetService(self._uow).seen(await self._uow.all(statement), people)
        return {(row.subject, row.subject_id): row for row in rows}


@dataclass(frozen=True)
class _Renderer:
    """From sums to lines."""

    uow: UnitOfWork
    people: Organisation
    submitted: Submitted
    targets: Mapping[tuple[str, UUID], Target]

    def line(self, subject: Subject, id: UUID | None, line: _Line, members: set[UUID]) -> ForecastLine:
        hidden = amounts_hidden(self.uow)
        home = self.uow.actor.tenant.currency
        money: Callable[[int], Money | None] = lambda minor: None if hidden else MoneySum(minor, home)  # noqa: E731
        target = self.targets.get((subject, id or self.uow.tenant_id))
        wanted = target.amount if target is not None and not hidden else None
        closed = line.categories[ForecastCategory.CLOSED].home
        member = self.people.members.get(id) if subject == "member" and id is not None else None
        team = self.people.tree.teams.get(id) if subject == "team" and id is not None else None
        return ForecastLine(
            subject=subject,
            id=id,
            name=self.people.name(subject, id) if id is not None else self.uow.actor.tenant.name,
            team_ids=list(member.team_ids) if member is not None else [],
            parent_id=team.parent_id if team is not None else None,
            categories=[
                CategoryFigures(
                    category=category,
                    count=line.categories[category].count,
                    amount=money(line.categories[category].home),
                    weighted=money(percent_of(line.categories[category].weighted)),
                    submitted=None if hidden else self._sum(self.submitted.own, members, category),
                    overridden=None
                    if hidden
                    else self._overridden(members, category, single=subject == "member"),
                )
                for category in CATEGORIES
            ],
            weighted=money(line.weighted),
            target=None if wanted is None else MoneySum(wanted, home),
            attainment=None if wanted is None else share(closed, wanted),
            gap=None if wanted is None else MoneySum(wanted - closed, home),
            unconverted=line.unconverted,
        )

    def _sum(
        self, figures: Mapping[tuple[UUID, str], int], members: Iterable[UUID], category: str
    ) -> Money | None:
        found = [figures[member, category] for member in members if (member, category) in figures]
        return MoneySum(sum(found), self.uow.actor.tenant.currency) if found else None

    def _overridden(self, members: set[UUID], category: str, *, single: bool) -> Money | None:
        """None unless somebody's figure was overridden; of several members, their own where there is none."""
        if not any((member, category) in self.submitted.overrides for member in members):
            return None
        figures = self.submitted.overrides if single else {**self.submitted.own, **self.submitted.overrides}
        return self._sum(figures, members, category)
