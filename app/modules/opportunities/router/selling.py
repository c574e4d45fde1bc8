"""What an opportunity is made of: lines, competitors, the buyer's committee, the team and its splits."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Response
from starlette.requests import Request

from app.kernel.errors import DuplicateValue, StaleVersion, VersionRequired, problems
from app.kernel.listing import query_from_parameters
from app.kernel.record_router import etag, record_router, tag
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.opportunities.schemas.selling import (
    CommitteeRead,
    OpportunityLineCreate,
    OpportunityLineRead,
    OpportunityLines,
    OpportunityLineUpdate,
    OpportunityTeam,
    RivalInput,
    RivalRead,
    Rivals,
    RivalUpdate,
    SeatInput,
    SeatRead,
    SeatUpdate,
    SplitsInput,
    TeamMemberInput,
    TeamMemberRead,
    TeamMemberUpdate,
    WinRates,
)
from app.modules.opportunities.services.committee import CommitteeService
from app.modules.opportunities.services.competitors import COMPETITOR
from app.modules.opportunities.services.lines import LineService
from app.modules.opportunities.services.rivals import RivalService
from app.modules.opportunities.services.team import TeamService

competitors = record_router(COMPETITOR)
router = Router(tags=["opportunities"])

READ, UPDATE = "opportunity:read", "opportunity:update"
_CHANGE = problems(StaleVersion, VersionRequired)
_ADD = problems(DuplicateValue)
OF = "/v1/opportunities/{id}"
LineId = Annotated[UUID, Path(description="The line.")]
RivalId = Annotated[
    UUID, Path(description="The competitor's part in this opportunity, as its list shows it.")
]
SeatId = Annotated[UUID, Path(description="The contact's part in this opportunity, as its list shows it.")]
TeamMemberId = Annotated[UUID, Path(description="The member's part in the team, as the team shows it.")]


# -- lines ---------------------------------------------------------------------------------------------------


@router.get(f"{OF}/lines", access=READ)
async def list_opportunity_lines(id: UUID, uow: Uow) -> OpportunityLines:
    """The lines in their order, and what they add up to."""
    return await LineService(uow).all(id)


@router.post(f"{OF}/lines", access=UPDATE, status_code=201)
async def add_opportunity_line(
    id: UUID, body: OpportunityLineCreate, uow: Uow, response: Response
) -> OpportunityLineRead:
    """Add a line. The opportunity's amount is the sum of its lines from then on."""
    made = await LineService(uow).add(id, body)
    tag(response, made)
    response.headers["Location"] = f"/v1/opportunities/{id}/lines/{made.id}"
    return made


@router.get(f"{OF}/lines/{{line_id}}", access=READ)
async def get_opportunity_line(
    id: UUID, line_id: LineId, uow: Uow, response: Response
) -> OpportunityLineRead:
    """One line."""
    found = await LineService(uow).get(id, line_id)
    tag(response, found)
    return found


@router.patch(f"{OF}/lines/{{line_id}}", access=UPDATE, responses=_CHANGE)
async def update_opportunity_line(
    id: UUID, line_id: LineId, body: OpportunityLineUpdate, version: IfMatch, uow: Uow, response: Response
) -> OpportunityLineRead:
    """Change a line by merge patch; the version is the line's, the amount follows."""
    changed = await LineService(uow).update(id, line_id, body, expected_version=version)
    tag(response, changed)
    return changed


@router.delete(f"{OF}/lines/{{line_id}}", access=UPDATE, status_code=204, responses=_CHANGE)
async def remove_opportunity_line(id: UUID, line_id: LineId, version: IfMatch, uow: Uow) -> None:
    """Take a line out. Without any line the amount is unknown until it is entered."""
    await LineService(uow).remove(id, line_id, expected_version=version)


# -- competitors ---------------------------------------------------------------------------------------------


@router.get("/v1/competitors/win-rates", access="competitor:read", open_query=True)
async def get_competitor_win_rates(request: Request, uow: Uow) -> WinRates:
    """How you fare against each, over the opportunities that you see. Any field of opportunities filters."""
    uow.actor.require(READ)
    return await RivalService(uow).win_rates(query_from_parameters(request.query_params.multi_items()))


@router.get(f"{OF}/competitors", access=READ)
async def list_opportunity_competitors(id: UUID, uow: Uow) -> Rivals:
    """Who else is after the deal, the greatest threat first."""
    return await RivalService(uow).all(id)


@router.post(f"{OF}/competitors", access=UPDATE, status_code=201, responses=_ADD)
async def add_opportunity_competitor(id: UUID, body: RivalInput, uow: Uow, response: Response) -> RivalRead:
    """Note a competitor who is after the same deal."""
    made = await RivalService(uow).add(id, body)
    tag(response, made)
    return made


@router.patch(f"{OF}/competitors/{{rival_id}}", access=UPDATE, responses=_CHANGE)
async def update_opportunity_competitor(
    id: UUID, rival_id: RivalId, body: RivalUpdate, version: IfMatch, uow: Uow, response: Response
) -> RivalRead:
    """Change what is known of a competitor in this deal."""
    changed = await RivalService(uow).update(id, rival_id, body, expected_version=version)
    tag(response, changed)
    return changed


@router.delete(f"{OF}/competitors/{{rival_id}}", access=UPDATE, status_code=204, responses=_CHANGE)
async def remove_opportunity_competitor(id: UUID, rival_id: RivalId, version: IfMatch, uow: Uow) -> None:
    """They are not after it after all."""
    await RivalService(uow).remove(id, rival_id, expected_version=version)


# -- committee -----------------------------------------------------------------------------------------------


@router.get(f"{OF}/contacts", access=READ)
async def list_opportunity_contacts(id: UUID, uow: Uow) -> CommitteeRead:
    """The buyer's committee by role."""
    return await CommitteeService(uow).all(id)


@router.post(f"{OF}/contacts", access=UPDATE, status_code=201, responses=_ADD)
async def add_opportunity_contact(id: UUID, body: SeatInput, uow: Uow, response: Response) -> SeatRead:
    """Add a contact who has a say."""
    made = await CommitteeService(uow).add(id, body)
    tag(response, made)
    return made


@router.patch(f"{OF}/contacts/{{seat_id}}", access=UPDATE, responses=_CHANGE)
async def update_opportunity_contact(
    id: UUID, seat_id: SeatId, body: SeatUpdate, version: IfMatch, uow: Uow, response: Response
) -> SeatRead:
    """Change a contact's role, attitude or note."""
    changed = await CommitteeService(uow).update(id, seat_id, body, expected_version=version)
    tag(response, changed)
    return changed


@router.delete(f"{OF}/contacts/{{seat_id}}", access=UPDATE, status_code=204, responses=_CHANGE)
async def remove_opportunity_contact(id: UUID, seat_id: SeatId, version: IfMatch, uow: Uow) -> None:
    """The contact has no say any more."""
    await CommitteeService(uow).remove(id, seat_id, expected_version=version)


# -- team and splits -----------------------------------------------------------------------------------------


@router.get(f"{OF}/team", access=READ)
async def get_opportunity_team(id: UUID, uow: Uow) -> OpportunityTeam:
    """Who works on it, and how they are credited."""
    return await TeamService(uow).all(id)


@router.post(f"{OF}/team", access=UPDATE, status_code=201, responses=_ADD)
async def add_opportunity_team_member(
    id: UUID, body: TeamMemberInput, uow: Uow, response: Response
) -> TeamMemberRead:
    """Take a member into the team; they see the opportunity from then on."""
    made = await TeamService(uow).add(id, body)
    tag(response, made)
    return made


@router.patch(f"{OF}/team/{{team_member_id}}", access=UPDATE, responses=_CHANGE)
async def update_opportunity_team_member(
    id: UUID,
    team_member_id: TeamMemberId,
    body: TeamMemberUpdate,
    version: IfMatch,
    uow: Uow,
    response: Response,
) -> TeamMemberRead:
    """Change a member's role or access."""
    changed = await TeamService(uow).update(id, team_member_id, body, expected_version=version)
    tag(response, changed)
    return changed


@router.delete(f"{OF}/team/{{team_member_id}}", access=UPDATE, status_code=204, responses=_CHANGE)
async def remove_opportunity_team_member(
    id: UUID, team_member_id: TeamMemberId, version: IfMatch, uow: Uow
) -> None:
    """Take a member out. Their revenue share goes to the owner."""
    await TeamService(uow).remove(id, team_member_id, expected_version=version)


@router.put(f"{OF}/splits", access=UPDATE, responses=_CHANGE)
async def set_opportunity_splits(
    id: UUID, body: SplitsInput, version: IfMatch, uow: Uow, response: Response
) -> OpportunityTeam:
    """Replace the shares of one kind; the version is the opportunity's."""
    team, now = await TeamService(uow).set_splits(id, body, expected_version=version)
    response.headers["ETag"] = etag(now)
    return team
