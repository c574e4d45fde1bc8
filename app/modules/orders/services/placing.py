"""Placing what was agreed elsewhere: the order is made whatever our own stock, credit and contracts say to it.

What cannot be confirmed is held as a draft. Where the company approves orders beyond a credit limit, its approval is
asked for by itself, and confirms the order by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import ClassVar, Final
from uuid import UUID

import orjson

from app.kernel.benefits import codes_of
from app.kernel.errors import Conflict, Invalid
from app.kernel.locks import lock_keys
from app.kernel.money import Money
from app.kernel.notifications import Notice, Notifications
from app.kernel.people import People
from app.kernel.statements import columns_of
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import (
    ApprovalNotNeeded,
    ApprovalQuestion,
    ApprovalRef,
    Approvals,
    ApprovalStatus,
    NoApprover,
)
from app.modules.contracts.interface import ContractNotActive, FrameExceeded
from app.modules.customers.interface import Customers
from app.modules.orders.interface import (
    CouponNotApplicable,
    CreditRefused,
    NewOrder,
    OrderHeld,
    OutOfStock,
    PointsNotApplicable,
)
from app.modules.orders.models.orders import HeldFor, Order, OrderStatus
from app.modules.orders.schemas.orders import CreditApprovalAsk
from app.modules.orders.services.content import content_hash
from app.modules.orders.services.orders import UNSAID, OrderService
from app.modules.orders.services.receivables import credit
from app.modules.orders.services.states import DRAFT, ORDER_STATES, OrderEmpty
from app.modules.orders.services.steps import OrderSteps

ORDER_HELD: Final = "order.held"
_REFUSED: Final = "refused"
_TITLE: Final = {
    "en": {
        _REFUSED: "{order} is held: it is not approved beyond the credit limit",
        HeldFor.STOCK: "{order} is held: there is not enough on hand",
        HeldFor.CREDIT: "{order} is held: the credit limit does not cover it",
        HeldFor.CONTRACT: "{order} is held: its contract does not cover it",
        HeldFor.COUPON: "{order} is held: a coupon does not hold any more",
    },
    "zh": {
        _REFUSED: "订单 {order} 暂缓：超出信用额度的审批未通过",
        HeldFor.STOCK: "订单 {order} 暂缓：库存不足",
        HeldFor.CREDIT: "订单 {order} 暂缓：超出信用额度",
        HeldFor.CONTRACT: "订单 {order} 暂缓：合同额度不足或合同未生效",
        HeldFor.COUPON: "订单 {order} 暂缓：优惠券已不可用",
    },
}
_PLACED = (
    "account_id", "contact_id", "opportunity_id", "quote_id", "contract_id", "partner_id", "owner_id", "team_id",
    "customer_reference", "source", "channel", "currency", "tax_included", "discount_percent", "discount_amount",
)  # fmt: skip
_BEYOND_CREDIT = (CreditRefused, credit.CreditRateMissing)
_BENEFITS = (CouponNotApplicable, PointsNotApplicable)
_HOLDING = (OutOfStock, *_BEYOND_CREDIT, ContractNotActive, FrameExceeded, *_BENEFITS, Invalid)
"""Of all that confirming raises, `Invalid` is what a contract in another currency says."""


class Placing:
    """Orders that others place, and approval of those beyond a credit limit."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._orders = OrderService(uow)

    async def place(self, new: NewOrder) -> Order:
        """Make an order of what was agreed elsewhere, once for each quote; held where it cannot be confirmed.

        Raises: Forbidden; Invalid where it does not add up to `total`.
        """
        self._uow.actor.require("order:create")
        if new.quote_id is not None:
            await lock_keys(self._uow, "order-quote", [str(new.quote_id)])
            first = await self._orders.of_quotes([new.quote_id])
            if first:
                return first[0]
        columns = {**UNSAID, **{name: getattr(new, name) for name in _PLACED}}
        columns["content_hash"] = None if new.customer_reference is None else content_hash(columns, new.lines)
        columns["coupon_codes"] = codes_of(new.benefits)
        made = await self._orders.make_for(new.owner_id, columns, new.lines, new.benefits)
        if made.total != new.total:
            raise Invalid.at("/total", "does_not_add_up", "The lines do not add up to what was agreed.")
        row = await self._confirmed_or_held(made)
        if row.held_for == HeldFor.CREDIT and await credit.CreditSettingsService(self._uow).approves():
            return await self._asked_if_possible(row)
        return row

    async def _confirmed_or_held(self, row: Order) -> Order:
        """The row, which this transaction holds, one step on; of a refused confirmation nothing is left."""
        try:
            async with self._uow.savepoint():
                return await OrderSteps(self._orders).confirm_row(row)
        except _HOLDING as refused:
            return await self._hold(row, _reason(refused))

    async def _hold(self, row: Order, reason: HeldFor) -> Order:
        held = await self._orders.write(row, {"held_for": reason.value}, action="held")
        self._uow.publish(
            OrderHeld(id=row.id, account_id=row.account_id, quote_id=row.quote_id, reason=reason.value)
        )
        await self._tell_owner(row, reason)
        return held

    async def _tell_owner(self, row: Order, what: str) -> None:
        if row.owner_id is not None:
            title = _TITLE[self._uow.actor.tenant.language][what].format(order=row.number)
            notice = Notice(ORDER_HELD, title, object="order", record_id=row.id)
            await Notifications(self._uow).tell_each([(row.owner_id, notice)])

    # -- approval beyond a credit limit --------------------------------------------------------------------

    async def request_approval(self, id: UUID, given: CreditApprovalAsk, *, expected_version: int) -> Order:
        """Ask for approval of a draft that the account's credit does not cover; approval confirms it.

        Raises: NotFound; Forbidden; StaleVersion; InvalidTransition; OrderEmpty; Invalid for unknown approvers;
        ApprovalNotNeeded where nothing keeps the order, or the company does not approve credit; CreditRefused,
        CreditRateMissing where no process asks for approval; ApprovalPending; NoApprover.
        """
        row = await self._orders.locked(id, expected_version)
        ORDER_STATES.next(OrderStatus(row.status), "confirm")
        if not row.line_count:
            raise OrderEmpty
        await self._uow.of(People).require_members(given.chosen_ids, pointer="/chosen_ids")
        if not await credit.CreditSettingsService(self._uow).approves():
            raise ApprovalNotNeeded("Orders beyond a credit limit are not approved here.")
        total = Money(row.total, row.currency)
        try:
            await credit.check(self._uow, row.account_id, total, row.id, approved=row.credit_approved)
        except _BEYOND_CREDIT:
            asked = await self._ask(row, given)
            if asked is None:
                raise
            return asked
        raise ApprovalNotNeeded("Credit does not keep this order: confirm it.")

    async def _asked_if_possible(self, row: Order) -> Order:
        """A customer's acceptance does not fail because nobody could approve: then the owner knows of it."""
        try:
            return await self._ask(row, CreditApprovalAsk()) or row
        except NoApprover:
            return row

    async def _ask(self, row: Order, given: CreditApprovalAsk) -> Order | None:
        """The row, waiting for approval of its total; None where no process asks. Raises as `Approvals.request`."""
        names = await self._uow.of(Customers).account_names([row.account_id])
        account = names.get(row.account_id)
        question = ApprovalQuestion(
            object="order",
            record_id=row.id,
            label=row.number + (f" · {account}" if account else ""),
            row={name: getattr(row, name) for name in columns_of(Order)},
            fingerprint=fingerprint(row),
            owner_id=row.owner_id,
            note=given.note,
            chosen_ids=tuple(given.chosen_ids),
        )
        request = await self._uow.of(Approvals).request(question)
        if request.status is not ApprovalStatus.PENDING:
            return None
        return await self._orders.write(row, {"credit_requested": row.total}, action="approval_requested")

    async def decided(self, row: Order, *, approved: bool) -> Order:
        """Approved, it is confirmed or held for what else keeps it; otherwise it stays the draft that it is."""
        if row.status != DRAFT or row.credit_requested is None:
            return row  # it has been confirmed or cancelled meanwhile
        if not approved:
            if row.held_for is not None:  # perhaps nobody asked for it, who would be told
                await self._tell_owner(row, _REFUSED)
            return await self._orders.write(row, {"credit_requested": None}, action="approval_refused")
        changes = {"credit_requested": None, "credit_approved": row.credit_requested}
        return await self._confirmed_or_held(await self._orders.write(row, changes, action="credit_approved"))


class OrderSubject:
    """`ApprovalSubject`: a decision moves the order in the same transaction."""

    object: ClassVar[str] = "order"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def decided(
        self,
        record_id: UUID,
        status: ApprovalStatus,
        request: ApprovalRef,  # noqa: ARG002 - an order keeps no note of it
    ) -> None:
        row = await self._uow.find(Order, record_id, lock="update")
        if row is not None:
            await Placing(self._uow).decided(row, approved=status is ApprovalStatus.APPROVED)

    async def visible(self, record_ids: Collection[UUID]) -> Collection[UUID]:
        if not record_ids or not self._uow.actor.may("order:read"):
            return ()
        return (await OrderService(self._uow).get_many(list(record_ids))).keys()


def _reason(refused: Conflict | Invalid) -> HeldFor:
    if isinstance(refused, OutOfStock):
        return HeldFor.STOCK
    if isinstance(refused, _BENEFITS):
        return HeldFor.COUPON
    return HeldFor.CREDIT if isinstance(refused, _BEYOND_CREDIT) else HeldFor.CONTRACT


def fingerprint(row: Order) -> str:
    """Stands for who buys for how much.

    The version makes every request a new one: the order keeps by itself what was approved before.
    """
    content: Sequence[object] = [row.account_id, row.currency, row.total, row.version]
    return hashlib.sha256(orjson.dumps(content, default=str)).hexdigest()
