"""`/v1/loyalty-members/{id}/wallet` and what programmes give."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from app.kernel.errors import DuplicateValue, InvalidCursor, StaleVersion, VersionRequired, problems
from app.kernel.money import Currency
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.automation.interface import ApprovalPending, NoApprover
from app.modules.membership.interface import (
    AdjustmentNeedsApproval,
    InsufficientStoredValue,
    MemberNotActive,
    NothingToRefund,
    ProgrammeClosed,
    WalletIsFrozen,
    WalletNotFrozen,
)
from app.modules.membership.schemas.members import AdjustmentRead
from app.modules.membership.schemas.rewards import RewardSettingsRead, RewardSettingsWrite
from app.modules.membership.schemas.wallets import (
    Freeze,
    TopUp,
    WalletAdjustment,
    WalletPay,
    WalletRead,
    WalletRefund,
    Wallets,
    WalletStatement,
    WalletTransactionPage,
    WalletTransactionRead,
    Withdrawal,
)
from app.modules.membership.services.adjusting import Adjusting
from app.modules.membership.services.rewards import RewardSettingsService
from app.modules.membership.services.wallet.moving import Moving
from app.modules.membership.services.wallet.reading import WalletReading
from app.modules.orders.interface import CashPaidBack

router = Router(tags=["wallets"])
settings = Router(tags=["loyalty_programmes"])

OF = "/v1/loyalty-members/{id}/wallet"
READ = "loyalty_member:read"
_MOVE = (MemberNotActive, WalletIsFrozen, DuplicateValue)
InCurrency = Annotated[Currency, Query(description="The wallet's currency.")]


@settings.get("/v1/loyalty-programmes/{id}/rewards", access=READ)
async def get_loyalty_rewards(id: UUID, uow: Uow, response: Response) -> RewardSettingsRead:
    """What a programme gives beside points for orders, and from which amount wallets are adjusted with approval."""
    found = await RewardSettingsService(uow).get(id)
    tag(response, found)
    return found


@settings.put(
    "/v1/loyalty-programmes/{id}/rewards",
    access="loyalty_programme:manage",
    responses=problems(StaleVersion, VersionRequired),
)
async def set_loyalty_rewards(
    id: UUID, body: RewardSettingsWrite, version: IfMatch, uow: Uow, response: Response
) -> RewardSettingsRead:
    """Say what a programme gives, whole. The version is 0 before this is said first."""
    changed = await RewardSettingsService(uow).set(id, body, expected_version=version)
    tag(response, changed)
    return changed


@router.get(f"{OF}s", access=READ)
async def list_wallets(id: UUID, uow: Uow) -> Wallets:
    """What this member has, by currency, and when bonus money of it expires."""
    return await WalletReading(uow).wallets(id)


@router.get(f"{OF}/transactions", access=READ, responses=problems(InvalidCursor))
async def list_wallet_transactions(
    id: UUID,
    uow: Uow,
    currency: Annotated[Currency | None, Query(description="Of the wallet in this currency only.")] = None,
    since: Annotated[
        date | None, Query(description="From this day on, as the company's calendar has it.")
    ] = None,
    until: Annotated[date | None, Query(description="To the end of this day.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> WalletTransactionPage:
    """What moved this member's money, newest first: the ledger, which is only ever added to."""
    return await WalletReading(uow).transactions(
        id, currency=currency, since=since, until=until, limit=limit, cursor=cursor
    )


@router.get(f"{OF}/statement", access=READ)
async def get_wallet_statement(
    id: UUID,
    uow: Uow,
    currency: InCurrency,
    since: Annotated[date, Query(description="The first day, as the company's calendar has it.")],
    until: Annotated[date, Query(description="The last day.")],
) -> WalletStatement:
    """What a wallet held before a period, what moved it, and what it held at the end."""
    return await WalletReading(uow).statement(id, currency=currency, since=since, until=until)


@router.post(f"{OF}/top-up", access="loyalty_member:top_up", status_code=201, responses=problems(*_MOVE))
async def top_up_wallet(id: UUID, body: TopUp, uow: Uow) -> WalletTransactionRead:
    """Pay in, with a bonus or without. What is paid in never expires."""
    return await Moving(uow).top_up(id, body)


@router.post(
    f"{OF}/pay",
    access="loyalty_member:redeem",
    status_code=201,
    responses=problems(*_MOVE, InsufficientStoredValue, CashPaidBack),
)
async def pay_from_wallet(id: UUID, body: WalletPay, uow: Uow) -> WalletTransactionRead:
    """Pay an order or an invoice: the payment is entered and settles what is invoiced, all or nothing."""
    return await Moving(uow).pay(id, body)


@router.post(
    f"{OF}/refund",
    access="loyalty_member:redeem",
    status_code=201,
    responses=problems(MemberNotActive, DuplicateValue, NothingToRefund),
)
async def refund_to_wallet(id: UUID, body: WalletRefund, uow: Uow) -> WalletTransactionRead:
    """Give back of a payment what is not owed any more. Returns and cancelled orders do so by themselves."""
    return await Moving(uow).refund(id, body)


@router.post(
    f"{OF}/withdraw",
    access="loyalty_member:withdraw",
    status_code=201,
    responses=problems(*_MOVE, InsufficientStoredValue),
)
async def withdraw_from_wallet(id: UUID, body: Withdrawal, uow: Uow) -> WalletTransactionRead:
    """Pay out what the member paid in; bonus money is not paid out."""
    return await Moving(uow).withdraw(id, body)


@router.post(f"{OF}/freeze", access="loyalty_member:freeze", responses=problems(WalletIsFrozen))
async def freeze_wallet(id: UUID, body: Freeze, uow: Uow) -> WalletRead:
    """Nothing goes in or out until it is let go; what was paid still comes back."""
    return await Moving(uow).freeze(id, body, frozen=True)


@router.post(f"{OF}/unfreeze", access="loyalty_member:freeze", responses=problems(WalletNotFrozen))
async def unfreeze_wallet(id: UUID, body: Freeze, uow: Uow) -> WalletRead:
    """Let a frozen wallet go on."""
    return await Moving(uow).freeze(id, body, frozen=False)


@router.post(
    f"{OF}/adjustments",
    access="loyalty_member:adjust",
    status_code=201,
    responses=problems(
        MemberNotActive,
        ProgrammeClosed,
        InsufficientStoredValue,
        ApprovalPending,
        NoApprover,
        AdjustmentNeedsApproval,
    ),
)
async def adjust_wallet(id: UUID, body: WalletAdjustment, uow: Uow) -> AdjustmentRead:
    """Give or take money by hand. Beyond the programme's limit it waits for approval."""
    return await Adjusting(uow).adjust_wallet(id, body)
