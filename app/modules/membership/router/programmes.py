"""`/v1/loyalty-programmes`, and `/v1/loyalty-members` beyond the generated operations."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Response

from app.kernel.errors import DuplicateValue, InvalidCursor, StaleVersion, VersionRequired, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import record_router, tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Output
from app.modules.automation.interface import ApprovalPending, NoApprover
from app.modules.membership.interface import (
    AdjustmentNeedsApproval,
    BurnSettled,
    InsufficientPoints,
    MemberNotActive,
    NothingEarned,
    ProgrammeClosed,
    ProgrammeInUse,
    TierInUse,
)
from app.modules.membership.schemas.members import (
    AdjustmentInput,
    AdjustmentPage,
    AdjustmentRead,
    BurnInput,
    BurnPage,
    BurnRead,
    EarnInput,
    EarnRead,
    LedgerPage,
    Lots,
    TierChangePage,
    TransferInput,
    TransferRead,
)
from app.modules.membership.schemas.programmes import ProgrammeCreate, ProgrammeRead, ProgrammeUpdate
from app.modules.membership.services.adjusting import Adjusting
from app.modules.membership.services.members import LOYALTY_MEMBER, LoyaltyMemberService, qr_code
from app.modules.membership.services.programmes import ProgrammeService, read
from app.modules.membership.services.reading import MemberReading
from app.modules.membership.services.spending import Spending

members = record_router(LOYALTY_MEMBER)
programmes = Router(tags=["loyalty_programmes"])
router = Router(tags=["membership"])

READ, UPDATE, REDEEM, ADJUST = (
    f"loyalty_member:{action}" for action in ("read", "update", "redeem", "adjust")
)
MANAGE = "loyalty_programme:manage"
OF = "/v1/loyalty-members/{id}"
BurnId = Annotated[UUID, Path(description="The burn, as the list of burns shows it.")]
_MOVE = (MemberNotActive, ProgrammeClosed, InsufficientPoints)


class Programmes(Output):
    """All loyalty programmes, by key."""

    data: list[ProgrammeRead]


@programmes.get("/v1/loyalty-programmes", access=READ)
async def list_loyalty_programmes(uow: Uow) -> Programmes:
    """All programmes with their rules and tiers, by key."""
    return Programmes(data=[read(one) for one in await ProgrammeService(uow).all()])


@programmes.post("/v1/loyalty-programmes", access=MANAGE, status_code=201, responses=problems(DuplicateValue))
async def create_loyalty_programme(body: ProgrammeCreate, uow: Uow, response: Response) -> ProgrammeRead:
    """Make a programme: what earns, what points are worth, and the tiers."""
    made = await ProgrammeService(uow).create(body)
    tag(response, made.row)
    response.headers["Location"] = f"/v1/loyalty-programmes/{made.row.id}"
    return read(made)


@programmes.get("/v1/loyalty-programmes/{id}", access=READ)
async def get_loyalty_programme(id: UUID, uow: Uow, response: Response) -> ProgrammeRead:
    """One programme with its rules and tiers."""
    found = await ProgrammeService(uow).get(id)
    tag(response, found.row)
    return read(found)


@programmes.patch("/v1/loyalty-programmes/{id}", access=MANAGE, responses=problems(TierInUse))
async def update_loyalty_programme(
    id: UUID, body: ProgrammeUpdate, version: IfMatch, uow: Uow, response: Response
) -> ProgrammeRead:
    """Change a programme from here on. Lists are replaced whole; tiers that members have stay."""
    changed = await ProgrammeService(uow).update(id, body, expected_version=version)
    tag(response, changed.row)
    return read(changed)


@programmes.delete(
    "/v1/loyalty-programmes/{id}",
    access=MANAGE,
    status_code=204,
    responses=problems(ProgrammeInUse, StaleVersion, VersionRequired),
)
async def delete_loyalty_programme(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Delete a programme that nobody ever joined; others are made inactive."""
    await ProgrammeService(uow).delete(id, expected_version=version)


# -- cards ---------------------------------------------------------------------------------------------------


@router.get(
    f"{OF}/qr",
    access=READ,
    response_class=Response,
    responses={
        200: {
            "description": "The card's number as a QR code.",
            "content": {"image/svg+xml": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def get_loyalty_member_qr(id: UUID, uow: Uow) -> Response:
    """The card's number as a QR code, an SVG picture."""
    row = await LoyaltyMemberService(uow).get(id)
    return Response(qr_code(row.number), media_type="image/svg+xml")


# -- points --------------------------------------------------------------------------------------------------


@router.get(f"{OF}/transactions", access=READ, responses=problems(InvalidCursor))
async def list_loyalty_transactions(
    id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None
) -> LedgerPage:
    """What moved this member's points, newest first: the ledger, which is only ever added to."""
    return await MemberReading(uow).ledger(id, limit=limit, cursor=cursor)


@router.get(f"{OF}/lots", access=READ)
async def list_loyalty_lots(id: UUID, uow: Uow) -> Lots:
    """The points that are left, in the order in which they are spent, with the days on which they expire."""
    return await MemberReading(uow).lots(id)


@router.post(
    f"{OF}/events",
    access=UPDATE,
    status_code=201,
    responses=problems(MemberNotActive, ProgrammeClosed, NothingEarned, DuplicateValue),
)
async def earn_loyalty_points(id: UUID, body: EarnInput, uow: Uow) -> EarnRead:
    """Tell that a member did something for which the programme gives points; each reference earns once."""
    return await Spending(uow).earn(id, body)


@router.get(f"{OF}/burns", access=READ, responses=problems(InvalidCursor))
async def list_loyalty_burns(id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None) -> BurnPage:
    """Points spent and kept, newest first."""
    return await MemberReading(uow).burns(id, limit=limit, cursor=cursor)


@router.post(f"{OF}/burns", access=REDEEM, status_code=201, responses=problems(*_MOVE))
async def burn_loyalty_points(id: UUID, body: BurnInput, uow: Uow) -> BurnRead:
    """Spend points, soonest to expire first, or keep them for an order with `reserve`."""
    return await Spending(uow).burn(id, body)


@router.post(f"{OF}/burns/{{burn_id}}/commit", access=REDEEM, responses=problems(BurnSettled))
async def commit_loyalty_burn(id: UUID, burn_id: BurnId, uow: Uow) -> BurnRead:
    """Spend points that were kept."""
    return await Spending(uow).commit(id, burn_id)


@router.post(f"{OF}/burns/{{burn_id}}/release", access=REDEEM, responses=problems(BurnSettled))
async def release_loyalty_burn(id: UUID, burn_id: BurnId, uow: Uow) -> BurnRead:
    """Give back points that were kept: they go where they came from."""
    return await Spending(uow).release(id, burn_id)


@router.post(
    f"{OF}/transfers",
    access=REDEEM,
    status_code=201,
    responses=problems(MemberNotActive, InsufficientPoints),
)
async def transfer_loyalty_points(id: UUID, body: TransferInput, uow: Uow) -> TransferRead:
    """Give points to another member of the programme; they keep the day on which they expire."""
    return await Spending(uow).transfer(id, body)


@router.get(f"{OF}/adjustments", access=READ, responses=problems(InvalidCursor))
async def list_loyalty_adjustments(
    id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None
) -> AdjustmentPage:
    """Points given and taken by hand, newest first."""
    return await MemberReading(uow).adjustments(id, limit=limit, cursor=cursor)


@router.post(
    f"{OF}/adjustments",
    access=ADJUST,
    status_code=201,
    responses=problems(*_MOVE, ApprovalPending, NoApprover, AdjustmentNeedsApproval),
)
async def adjust_loyalty_points(id: UUID, body: AdjustmentInput, uow: Uow) -> AdjustmentRead:
    """Give or take points by hand. Beyond the programme's limit it waits for approval."""
    return await Adjusting(uow).adjust(id, body)


@router.get(f"{OF}/tiers", access=READ, responses=problems(InvalidCursor))
async def list_loyalty_tier_changes(
    id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None
) -> TierChangePage:
    """The tiers that this member has had, newest first."""
    return await MemberReading(uow).tiers(id, limit=limit, cursor=cursor)
