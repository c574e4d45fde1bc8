"""What somebody sees, in the terms that sums are kept in: owners and teams, and single records that are shared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from app.kernel.access import NOBODY, Scope, owned_rows, shared_ids
from app.kernel.errors import InvalidFilter
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.reading.sums import CONTRIBUTION, SUMS
from app.tenants.interface import TeamRef, Teams

_PASSAGE = "t.pipeline_id, t.stage, t.owner_id, t.team_id, t.month, t.outcome, t.won, 1::bigint AS n"
_DAYS = "t.pipeline_id, t.stage, t.team_id, t.month, t.days, 1::bigint AS n"


class Reach:
    """Compiles FROM clauses over kept sums for one statement; `bind` starts with the tenant."""

    def __init__(self, uow: UnitOfWork, bind: Bindings) -> None:
        self._bind = bind
        self._actor = uow.actor
        self.owned = owned_rows(uow.actor, "opportunity", "read", bind)
        scope = uow.actor.scope("opportunity:read")
        below = uow.actor.team_ids_below if scope is Scope.TEAM_AND_BELOW else uow.actor.team_ids
        self._teams = below if scope >= Scope.TEAM else ()

    def sums(self, where: str = "true", live: str = "true") -> str:
        """Contributions over alias `t` that fit `where`; `live` says the same of opportunities.

        What is shared one by one with the actor is added from the opportunities themselves.
        """
        kept = f"SELECT {SUMS.columns} FROM opportunities.sums t WHERE t.tenant_id = $1 AND {where}"
        if self.owned is None:
            return kept
        return (
            f"{kept} AND {self.owned} UNION ALL SELECT {CONTRIBUTION} FROM opportunities.opportunities t"
            f" WHERE t.tenant_id = $1 AND t.deleted_at IS NULL AND {live} AND {self._shared('t.id')}"
        )

    def passages(self, where: str) -> str:
        """Contributions to the funnel, over alias `t`."""
        kept = (
            "SELECT t.pipeline_id, t.stage, t.owner_id, t.team_id, t.month, t.outcome, t.won, t.n"
            f" FROM opportunities.funnel_sums t WHERE t.tenant_id = $1 AND {where}"
        )
        if self.owned is None:
            return kept
        return (
            f"{kept} AND {self.owned} UNION ALL SELECT {_PASSAGE} FROM opportunities.passages t"
            f" WHERE t.tenant_id = $1 AND {where} AND {self._shared('t.opportunity_id')}"
        )

    def days(self, where: str, *, by_owner: bool) -> str:
        """How often who was how long in a stage, over alias `t`.

        They are kept by team; what goes by owner (`where` does when `by_owner`) is read from the passages.
        """
        single = (
            f"SELECT {_DAYS} FROM opportunities.passages t WHERE t.tenant_id = $1 AND t.days >= 0 AND {where}"
        )
        kept = (
            "SELECT t.pipeline_id, t.stage, t.team_id, t.month, t.days, t.n FROM opportunities.funnel_days t"
            f" WHERE t.tenant_id = $1 AND {where}"
        )
        if self.owned is None:
            return single if by_owner else kept
        shared = f"{single} AND {self._shared('t.opportunity_id')}"
        if by_owner or not self._teams:
            return f"{single} AND {self.owned} UNION ALL {shared}"
        teams = self._bind(list(self._teams))
        me = self._bind(self._actor.member_id or NOBODY)
        return (
            f"{kept} AND t.team_id = ANY({teams}::uuid[])"
            f" UNION ALL {single} AND t.owner_id = {me} AND t.team_id <> ALL({teams}::uuid[])"
            f" UNION ALL {shared}"
        )

    def _shared(self, id: str) -> str:
        """Shared with the actor, and not seen by owner or team already (neither may be null there)."""
        shared = shared_ids(self._actor, "opportunity", self._bind)
        return f"{id} IN {shared} AND ({self.owned}) IS NOT TRUE"


class TeamTree:
    """The sales organisation as a tree of teams."""

    def __init__(self, teams: Collection[TeamRef]) -> None:
        self.teams: Mapping[UUID, TeamRef] = {team.id: team for team in teams}
        self._below: dict[UUID, list[UUID]] = {}
        for team in teams:
            if team.parent_id is not None:
                self._below.setdefault(team.parent_id, []).append(team.id)

    @classmethod
    async def load(cls, uow: UnitOfWork) -> TeamTree:
        return cls(await uow.of(Teams).all())

    def above(self, team_id: UUID | None) -> list[UUID]:
        """The team and those above it, nearest first; nothing for a team that is not there."""
        found: list[UUID] = []
        while team_id is not None and team_id in self.teams and team_id not in found:
            found.append(team_id)
            team_id = self.teams[team_id].parent_id
        return found

    def below(self, team_id: UUID) -> set[UUID]:
        """The team and all below it."""
        found: set[UUID] = set()
        pending = [team_id]
        while pending:
            one = pending.pop()
            if one not in found:
                found.add(one)
                pending += self._below.get(one, ())
        return found


def amounts_hidden(uow: UnitOfWork) -> bool:
    """Whether the actor's role hides amounts; then no figure may tell them."""
    return "amount" in uow.actor.hidden("opportunity")


def require_shown(uow: UnitOfWork, *fields: str) -> None:
    """Refuse to group by or filter with what the actor may not see. Raises `InvalidFilter`, as a list would."""
    hidden = uow.actor.hidden("opportunity")
    for name in fields:
        if name in hidden:
            raise InvalidFilter(f"There is no field {name!r} to filter or sort by.", parameter=name)
