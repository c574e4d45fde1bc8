"""Referrals and benefits of `/v1/loyalty-members`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path

from app.kernel.errors import InvalidCursor, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.routing import Router, Uow
from app.modules.membership.interface import MemberNotActive, ReferralDecided
from app.modules.membership.schemas.rewards import (
    BenefitGrantPage,
    ReferralCodeRead,
    ReferralPage,
    ReferralRead,
    ReferralRejection,
)
from app.modules.membership.services.members import LoyaltyMemberService
from app.modules.membership.services.occasions import benefits_of
from app.modules.membership.services.referrals import Referrals, referral_code

router = Router(tags=["membership"])

OF = "/v1/loyalty-members/{id}"
READ = "loyalty_member:read"
ReferralId = Annotated[UUID, Path(description="The referral, as the list of referrals shows it.")]


@router.post(f"{OF}/referral-code", access=READ, responses=problems(MemberNotActive))
async def get_referral_code(id: UUID, uow: Uow) -> ReferralCodeRead:
    """The code that this member passes on, made when it is first asked for."""
    return await referral_code(uow, await LoyaltyMemberService(uow).get(id))


@router.get(f"{OF}/referrals", access=READ, responses=problems(InvalidCursor))
async def list_referrals(id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None) -> ReferralPage:
    """Whom this member brought in, and what became of it, newest first."""
    await LoyaltyMemberService(uow).get(id)
    return await Referrals(uow).page(id, limit=limit, cursor=cursor)


@router.post(
    f"{OF}/referrals/{{referral_id}}/reject",
    access="loyalty_member:adjust",
    responses=problems(ReferralDecided),
)
async def reject_referral(
    id: UUID, referral_id: ReferralId, body: ReferralRejection, uow: Uow
) -> ReferralRead:
    """Say that this brings nothing, before it is rewarded."""
    await LoyaltyMemberService(uow).get(id, action="adjust")
    return await Referrals(uow).reject(id, referral_id, body)


@router.get(f"{OF}/benefits", access=READ, responses=problems(InvalidCursor))
async def list_loyalty_benefits(
    id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None
) -> BenefitGrantPage:
    """What this member got for birthdays and anniversaries, newest first."""
    await LoyaltyMemberService(uow).get(id)
    return await benefits_of(uow, id, limit=limit, cursor=cursor)
