"""Points or money given or taken by hand; beyond the programme's limit only once somebody else has approved."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.money import Money
from app.kernel.people import People
from app.kernel.periods import add_months
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import (
    ApprovalPending,
    ApprovalQuestion,
    ApprovalRef,
    Approvals,
    ApprovalStatus,
)
from app.modules.membership.interface import (
    AdjustmentNeedsApproval,
    InsufficientPoints,
    PointsAdjusted,
    WalletAdjusted,
)
from app.modules.membership.models.programmes import Adjustment, AdjustmentStatus, Earning, LoyaltyMember
from app.modules.membership.models.wallets import WalletKind
from app.modules.membership.schemas.members import AdjustmentInput, AdjustmentRead
from app.modules.membership.schemas.wallets import WalletAdjustment
from app.modules.membership.services.ledger import Ledger
from app.modules.membership.services.members import LoyaltyMemberService
from app.modules.membership.services.programmes import ProgrammeRules, ProgrammeService
from app.modules.membership.services.rewards import RewardSettingsService
from app.modules.membership.services.tiers import TierService
from app.modules.membership.services.wallet.ledger import WalletLedger

OBJECT: Final = "loyalty_member"
_ENDS: Final = {
    ApprovalStatus.APPROVED: AdjustmentStatus.APPLIED,
    ApprovalStatus.REFUSED: AdjustmentStatus.REFUSED,
    ApprovalStatus.RECALLED: AdjustmentStatus.RECALLED,
}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An adjustment: its columns, how approvers read it, and why they are asked, if they are."""

    values: Mapping[str, Any]
    label: str
    ask: str | None
    limit: int | None


class Adjusting:
    """Adjustments of members; one at a time waits for approval."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._members = LoyaltyMemberService(uow)

    async def adjust(self, id: UUID, body: AdjustmentInput) -> AdjustmentRead:
        """Move the points, or ask whether they may be moved.

        Raises: NotFound; MemberNotActive; InsufficientPoints; ApprovalPending; NoApprover; AdjustmentNeedsApproval
        where a limit is passed and no process asks anybody.
        """
        row, programme = await self._members.usable(id, "adjust")
        limit = programme.row.adjustment_limit
        ask = limit is not None and max(abs(body.points), abs(body.qualifying_points)) > limit
        if ask and body.points < 0 and row.points < -body.points:
            raise InsufficientPoints(available=row.points, wanted=-body.points)
        values = {"points": body.points, "qualifying_points": body.qualifying_points}
        wanted = _Wanted(
            values, f"{body.points:+d}", None if not ask else f"More than {limit} points.", limit
        )
        return await self._adjust(row, programme, wanted, body.reason, body.chosen_ids)

    async def adjust_wallet(self, id: UUID, body: WalletAdjustment) -> AdjustmentRead:
        """Move money of a wallet, or ask whether it may be moved. A limit is of the programme's currency: in another
        every adjustment is asked for where there is one.

        Raises: NotFound; MemberNotActive; InsufficientStoredValue; and as `adjust`.
        """
        row, programme = await self._members.usable(id, "adjust")
        settings = await RewardSettingsService(self._uow).of(programme.row.id)
        limit, amount, currency = settings.wallet_limit, body.amount.amount_minor, body.amount.currency
        ask = limit is not None and (currency != programme.row.currency or abs(amount) > limit)
        if ask and amount < 0:
            ledger = WalletLedger(self._uow)
            (await ledger.open([id], currency))[id].require(-amount)
            await ledger.close()
        values = {"points": 0, "qualifying_points": 0, "amount": amount, "currency": currency}
        why = None if not ask else f"More than {Money(limit or 0, programme.row.currency)}."
        wanted = _Wanted(values, f"{body.amount}", why, limit)
        return await self._adjust(row, programme, wanted, body.reason, body.chosen_ids)

    async def _adjust(
        self,
        row: LoyaltyMember,
        programme: ProgrammeRules,
        wanted: _Wanted,
        reason: str,
        chosen_ids: Collection[UUID],
    ) -> AdjustmentRead:
        await self._uow.of(People).require_members(chosen_ids, pointer="/chosen_ids")
        ask = wanted.ask is not None
        if ask and await self._pending(row.id) is not None:
            raise ApprovalPending
        made = await self._uow.insert(
            Adjustment,
            member_id=row.id,
            reason=reason,
            status=(AdjustmentStatus.PENDING if ask else AdjustmentStatus.APPLIED).value,
            requested_by=self._uow.actor.member_id,
            decided_at=None if ask else self._uow.now,
            **wanted.values,
        )
        if ask:
            await self._ask(row, made, chosen_ids, wanted)
        else:
            await self._apply(made, programme)
        changes = {name: [None, value] for name, value in wanted.values.items()}
        action = "adjustment_requested" if ask else "adjusted"
        self._uow.record_audit(OBJECT, row.id, action, changes, reason=reason)
        return read_adjustment(made)

    async def _ask(
        self, row: LoyaltyMember, made: Adjustment, chosen_ids: Collection[UUID], wanted: _Wanted
    ) -> None:
        question = ApprovalQuestion(
            object=OBJECT,
            record_id=row.id,
            label=f"{row.number}: {wanted.label}",
            row={name: value for name, value in row.__dict__.items() if not name.startswith("_")},
            fingerprint=str(made.id),
            owner_id=row.owner_id,
            note=made.reason,
            chosen_ids=tuple(chosen_ids),
        )
        asked = await self._uow.of(Approvals).request(question)
        if asked.status is not ApprovalStatus.PENDING:
            raise AdjustmentNeedsApproval(wanted.ask, limit=wanted.limit)

    async def _apply(self, made: Adjustment, programme: ProgrammeRules) -> None:
        if made.currency is None:
            await self._move_points(made, programme)
        else:
            await self._move_money(made, made.amount or 0, made.currency)

    async def _move_money(self, made: Adjustment, amount: int, currency: str) -> None:
        """What is taken is bonus money first; what is given is the member's for good."""
        ledger = WalletLedger(self._uow)
        purse = (await ledger.open([made.member_id], currency))[made.member_id]
        movement = purse.post(WalletKind.ADJUST)
        movement.note = made.reason
        if amount > 0:
            purse.pay_in(movement, amount, "adjusted")
        else:
            purse.pay(movement, -amount, "adjusted")
        await ledger.close()
        self._uow.publish(
            WalletAdjusted(
                id=made.member_id,
                wallet_id=purse.id,
                amount=Money(amount, currency).to_texts(),
                reason=made.reason,
            )
        )

    async def _move_points(self, made: Adjustment, programme: ProgrammeRules) -> None:
        ledger = Ledger(self._uow)
        holding = (await ledger.hold([made.member_id]))[made.member_id]
        posting = ledger.post("adjust", holding, made.id, note=made.reason)
        await ledger.reach({made.member_id: -made.points} if 0 < -made.points <= holding.points else {})
        holding.adjust(
            posting, made.points, today=ledger.today, expires_on=_last_day(programme, ledger.today)
        )
        holding.qualify(posting, made.qualifying_points, "adjusted")
        await ledger.close()
        if made.qualifying_points:
            await self._uow.insert(
                Earning,
                member_id=made.member_id,
                event="adjustment",
                reference=str(made.id),
                earned_on=ledger.today,
                visits=0,
                amount=0,
                amount_returned=0,
                spendable=0,
                spendable_reversed=0,
                qualifying=made.qualifying_points,
                qualifying_reversed=0,
            )
            await TierService(self._uow).raise_those_who_qualify([made.member_id])
        self._uow.publish(
            PointsAdjusted(
                id=made.member_id,
                points=made.points,
                qualifying_points=made.qualifying_points,
                reason=made.reason,
            )
        )

    async def decided(self, member_id: UUID, status: ApprovalStatus) -> None:
        """What waits for approval is applied, or is not.

        Raises `InsufficientPoints`, `InsufficientStoredValue` for what was spent meanwhile.
        """
        row = await self._uow.get(LoyaltyMember, member_id, lock="update")
        waiting = await self._pending(member_id)
        if waiting is None:
            return
        after = await self._uow.update(waiting, status=_ENDS[status].value, decided_at=self._uow.now)
        self._uow.record_audit(
            OBJECT,
            member_id,
            f"adjustment_{after.status}",
            {"points": [None, waiting.points], "amount": [None, waiting.amount]},
        )
        if status is ApprovalStatus.APPROVED:
            await self._apply(after, await ProgrammeService(self._uow).get(row.programme_id))

    async def _pending(self, member_id: UUID) -> Adjustment | None:
        statement = self._uow.select(Adjustment).where(
            Adjustment.member_id == member_id, Adjustment.status == AdjustmentStatus.PENDING.value
        )
        return await self._uow.first(statement)


class AdjustmentSubject:
    """`ApprovalSubject`: what is approved of a member is the adjustment of their points or money."""

    object: ClassVar[str] = OBJECT

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def decided(self, record_id: UUID, status: ApprovalStatus, request: ApprovalRef) -> None:  # noqa: ARG002
        """Move the points in the same transaction."""
        await Adjusting(self._uow).decided(record_id, status)

    async def visible(self, record_ids: Collection[UUID]) -> Collection[UUID]:
        """Those that the actor may see."""
        if not self._uow.actor.may("loyalty_member:read"):
            return ()
        return set(await LoyaltyMemberService(self._uow).get_many(list(record_ids)))


def _last_day(programme: ProgrammeRules, today: date) -> date | None:
    months = programme.row.expiry_months
    return None if months is None else add_months(today, months)


def read_adjustment(row: Adjustment) -> AdjustmentRead:
    """The wire form."""
    return AdjustmentRead(
        id=row.id,
        points=row.points,
        qualifying_points=row.qualifying_points,
        reason=row.reason,
        status=AdjustmentStatus(row.status),
        requested_by=row.requested_by,
        created_at=row.created_at,
        decided_at=row.decided_at,
        amount=None if row.currency is None else Money(row.amount or 0, row.currency),
    )
