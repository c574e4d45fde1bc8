"""Orders as records, made and changed as drafts. What becomes of them is `services/steps.py`.

Whoever acts on an order holds its row first, then its account, its stock, its contract, and its coupons and points,
always in this order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.benefits import BENEFITS, Benefit
from app.kernel.errors import Invalid, NotFound, require_version
from app.kernel.locks import lock_keys
from app.kernel.numbering import next_number
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.kernel.validation import refuse_nulls
from app.modules.automation.interface import ApprovalPending
from app.modules.orders.interface import NewOrderLine
from app.modules.orders.models.orders import Order, OrderLine, PaymentStatus
from app.modules.orders.schemas.orders import OrderCreate, OrderDetail, OrderLineInput, OrderRead, OrderUpdate
from app.modules.orders.services import lines as of_lines
from app.modules.orders.services.benefits import Benefits, asked_for
from app.modules.orders.services.content import content_hash, plain
from app.modules.orders.services.lines import OrderLines
from app.modules.orders.services.pricing import Pricing, Sale
from app.modules.orders.services.references import References, addressed
from app.modules.orders.services.states import (
    CANCELLED,
    CLOSED,
    DRAFT,
    OrderNotDraft,
    OrderReferenceUsed,
)

NUMBER = "O-{year}-{number:05d}"
AGREED = frozenset(
    {
        "account_id", "contract_id", "partner_id", "customer_reference", "currency", "tax_included",
        "discount_percent", "discount_amount", "commission_percent", "ordered_on", "lines", "coupon_codes", "points",
    }
)  # fmt: skip
"""What changes only in a draft."""
_TOTALLED = frozenset(
    {
        "lines", "currency", "tax_included", "discount_percent", "discount_amount", "commission_percent",
        "coupon_codes", "points",
    }
)  # fmt: skip
_PRICING = frozenset(
    {
        "account_id", "contract_id", "partner_id", "channel", "currency", "ordered_on", "shipping_address",
        "billing_address",
    }
)  # fmt: skip
"""What prices and taxes of the catalogue depend on."""
UNSAID: dict[str, Any] = {
    "external_id": None, "tags": [], "custom": {}, "partner_name": None, "commission_percent": None,
    "ordered_on": None, "requested_on": None, "shipping_address": None, "billing_address": None,
    "coupon_codes": [], "points": 0,
}  # fmt: skip


class OrderService(RecordService[Order]):
    """Orders with their lines."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self.lines = OrderLines(uow)
        self.references = References(uow)
        self.pricing = Pricing(uow)
        self.benefits = Benefits(uow)
        self._rows: list[dict[str, Any]] = []
        self._held: Sequence[Benefit] = ()
        self._header: dict[str, Any] = {}
        self._inherited = False

    # -- making --------------------------------------------------------------------------------------------

    async def create(self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> Order:
        """As every record. A customer's reference that is known answers with its order.

        Raises: OrderReferenceUsed where that order is another one; CouponNotApplicable; PointsNotApplicable.
        """
        self.actor.require("order:create")
        self.references = References(self.uow)
        given = dict(given)
        sent: Sequence[OrderLineInput] = given.pop("lines", None) or ()
        asked_for(given)
        reference, content = given.get("customer_reference"), None
        if reference is not None:
            content = content_hash(given, sent)
            first = await self._of_reference(given["account_id"], reference, content)
            if first is not None:
                return first
        given["currency"] = currency = self._currency(given.get("currency"), sent)
        columns = plain(given, currency) | {"content_hash": content, "quote_id": None}
        columns["ordered_on"] = columns["ordered_on"] or self.actor.tenant.day_of(self.uow.now)
        lines = await self._sold(columns, sent)
        explicit = None if explicit is None else set(explicit) - {"lines"}
        self._held = await self.benefits.tried(columns, lines)
        return await self.make(columns, lines, explicit=explicit, benefits=self._held)

    async def _sold(self, columns: dict[str, Any], sent: Sequence[OrderLineInput]) -> list[NewOrderLine]:
        """The lines with prices and taxes; `columns` are told where the order goes.

        One statement finds the account and prices the lines, wherever it may.
        """
        references, account_id = self.references, columns["account_id"]
        named = any(line.product_id is not None for line in sent)
        if not named or not references.unknown_by_now(account_id):
            columns["country"] = await references.country(columns)
            return await self.pricing.lines(sent, Sale.of(columns))
        columns["country"] = addressed(columns)
        lines = await self.pricing.lines(sent, Sale.of(columns), partial(references.held, account_id))
        columns["country"] = await references.country(columns)
        return lines

    async def make(
        self,
        columns: Mapping[str, Any],
        lines: Sequence[NewOrderLine],
        *,
        explicit: Collection[str] | None = (),
        credit: bool = False,
        benefits: Sequence[Benefit] = (),
    ) -> Order:
        """A draft of these columns and lines, totalled in one go. Raises `Invalid`, `Forbidden`."""
        names = ("currency", "discount_percent", "discount_amount", "tax_included", "commission_percent")
        header, self._rows = of_lines.totalled(
            lines, credit=credit, benefits=benefits, **{name: columns[name] for name in names}
        )
        return await super().create({**columns, **header}, explicit=explicit)

    async def _of_reference(self, account_id: UUID, reference: str, content: str) -> Order | None:
        """The order that has the reference; callers with the same one wait for each other."""
        await lock_keys(self.uow, "order-reference", [f"{account_id}:{reference}"])
        row = await self.uow.fetchrow(
            "SELECT * FROM orders.orders WHERE tenant_id = $1 AND account_id = $2 AND customer_reference = $3"
            " AND deleted_at IS NULL",
            self.uow.tenant_id,
            account_id,
            reference,
        )
        if row is None:
            return None
        if row["content_hash"] != content:
            raise OrderReferenceUsed(
                f"Order {row['number']} has this reference.", order_id=str(row["id"]), number=row["number"]
            )
        return await self.get(row["id"])

    def _currency(self, given: str | None, lines: Sequence[OrderLineInput]) -> str:
        of_prices = next((line.unit_price.currency for line in lines if line.unit_price is not None), None)
        return given or of_prices or self.actor.tenant.currency

    async def before_create(self, values: dict[str, Any]) -> None:
        await self.references.check(values, values.keys())
        values |= {
            "status": DRAFT.value,
            "payment_status": PaymentStatus.UNPAID.value,
            "return_id": values.get("return_id"),
        }
        values |= dict.fromkeys(
            (
                "confirmed_at",
                "fulfilled_at",
                "closed_at",
                "cancelled_at",
                "cancel_reason",
                "held_for",
                "credit_requested",
                "credit_approved",
            ),
            None,
        )
        values["number"] = await next_number(self.uow, "order", NUMBER)

    async def after_create(self, row: Order) -> None:
        made = await self.lines.write(row.id, self._rows)
        for line in made:
            line.update(of_lines.UNTOUCHED)
        self.wrote_parts(row, lines=made, benefits=row.benefits)
        if self._held:
            await self.benefits.hold(row, self._held)
            self._held = ()

    async def _assign(self, values: dict[str, Any], *, creating: bool) -> None:
        if not self._inherited:
            await super()._assign(values, creating=creating)

    async def make_for(
        self,
        owner_id: UUID | None,
        columns: Mapping[str, Any],
        lines: Sequence[NewOrderLine],
        benefits: Sequence[Benefit] = (),
    ) -> Order:
        """As `make`, with the owner of what it comes from; no right to assign is needed. Nothing is reserved."""
        self.references = References(self.uow)
        today = self.actor.tenant.day_of(self.uow.now)
        columns = {**columns, "owner_id": owner_id, "ordered_on": columns.get("ordered_on") or today}
        columns["country"] = await self.references.country(columns)
        self._inherited, self._held = owner_id is not None, ()
        try:
            return await self.make(columns, lines, benefits=benefits)
        finally:
            self._inherited = False

    async def of_quotes(self, quote_ids: Collection[UUID]) -> list[Order]:
        """The orders that quotes became, whoever may see them."""
        rows = await self.uow.fetch(
            "SELECT * FROM orders.orders WHERE tenant_id = $1 AND quote_id = ANY($2::uuid[])"
            " AND deleted_at IS NULL",
            self.uow.tenant_id,
            list(quote_ids),
        )
        return [entity(Order, row) for row in rows]

    # -- changing ------------------------------------------------------------------------------------------

    async def change(self, row: Order, given: Mapping[str, Any], *, action: str = "updated") -> Order:
        """As every record; what was agreed changes only in a draft, and is totalled anew.

        Raises: OrderNotDraft; ApprovalPending while it is being approved; CouponNotApplicable; PointsNotApplicable.
        """
        self.references = References(self.uow)
        given = dict(given)
        asked_for(given)
        if AGREED & given.keys():
            if row.status != DRAFT:
                raise OrderNotDraft(f"It is {row.status}.", state=row.status)
            if row.credit_requested is not None:
                raise ApprovalPending
        refuse_nulls(
            {name: given[name] for name in ("ordered_on", "coupon_codes", "points") if name in given}
        )
        others = row.status == DRAFT and row.benefits and {"account_id", "contact_id"} & given.keys()
        priced = row.status == DRAFT and _PRICING & given.keys()
        if not others and not priced and not _TOTALLED & given.keys():
            return await super().change(row, plain(given, row.currency), action=action)
        stored = (await self.lines.of([row.id]))[row.id]
        sent = given.pop("lines", None)
        currency = given.get("currency") or row.currency
        given = plain(given, currency)
        if "currency" in given:
            given["currency"] = currency
        lines = await self._lines_for(row, given, stored, sent)
        benefits = await self.benefits.tried({**row.__dict__, **given}, lines, order_id=row.id)
        inputs = of_lines.header_inputs(row, given)
        header, rows = of_lines.totalled(lines, benefits=benefits, **inputs)
        if row.credit_requested is not None and header["total"] != row.total:
            raise ApprovalPending
        self._header = header
        try:
            after = await super().change(row, given, action=action)
        finally:
            self._header = {}
        if benefits or row.benefits:
            await self.benefits.hold(after, benefits)
        if sent is None:
            await self.lines.retotal(row.id, rows)
            return after
        await self.lines.replace(row.id, rows)
        was, now = of_lines.summary(stored), of_lines.summary(lines)
        return await self._lines_changed(after, row, was, now)

    async def _lines_for(
        self,
        row: Order,
        changes: Mapping[str, Any],
        stored: Sequence[OrderLine],
        sent: Sequence[OrderLineInput] | None,
    ) -> list[NewOrderLine]:
        """The lines after these changes: as sent, or as they were, priced and taxed anew where they depend on them.

        Raises: Invalid, also for amounts that somebody entered in another currency.
        """
        after = {**row.__dict__, **changes}
        if sent is None and not any(after[name] != getattr(row, name) for name in _PRICING):
            return [of_lines.as_new(line) for line in stored]
        if after["currency"] != row.currency:
            if sent is None and any(map(of_lines.has_amounts, stored)):
                raise Invalid.at("/currency", "other_currency", "Send the lines in the new currency as well.")
            if row.discount_amount and "discount_amount" not in changes:
                raise Invalid.at("/discount_amount", "other_currency", "Send it in the new currency as well.")
        # Before anything is priced: an account, contract or day that cannot be taken is told first.
        await self.references.check(after, {"account_id", "contract_id"} & changes.keys())
        if changes.keys() & {"account_id", "shipping_address", "billing_address"}:
            after["country"] = await self.references.country(after)
        sale = Sale.of(after, [line.product_id for line in stored])
        return await (self.pricing.again(stored, sale) if sent is None else self.pricing.lines(sent, sale))

    async def _lines_changed(self, after: Order, before: Order, was: list[str], now: list[str]) -> Order:
        """Tell of other lines; where the header stayed what it was, the order gets a version for them."""
        self.uow.record_audit("order", after.id, "lines_changed", {"lines": [was, now]})
        return after if after.version != before.version else await self.bump(after, "lines")

    async def bump(self, row: Order, what: str) -> Order:
        """The next version of a held row of which only lines changed; it is told so. Raises `NotFound`."""
        changed = await self.uow.fetchrow(
            "UPDATE orders.orders SET version = version + 1, updated_at = $3"
            " WHERE tenant_id = $1 AND id = $2 RETURNING *",
            row.tenant_id,
            row.id,
            self.uow.now,
        )
        if changed is None:
            raise NotFound
        after = entity(Order, changed)
        self.uow.publish_record(
            ORDER.updated, row.id, after.version, changed=[what], record=ORDER.render(after)
        )
        return after

    async def before_update(self, row: Order, changes: dict[str, Any]) -> None:
        if row.status == CLOSED and changes.keys() - {"tags", "custom", "owner_id", "team_id"}:
            raise OrderNotDraft("It is closed.", state=row.status)
        await self.references.check({**row.__dict__, **changes}, changes.keys())
        if changes.keys() & {"account_id", "shipping_address", "billing_address"}:
            changes["country"] = await self.references.country({**row.__dict__, **changes})
        changes |= self._header  # computed, so no field rule of the actor's speaks of it
        if row.credit_approved is not None:
            others = any(
                changes.get(name, getattr(row, name)) != getattr(row, name)
                for name in ("account_id", "currency")
            )
            if others or changes.get("total", row.total) > row.credit_approved:
                changes["credit_approved"] = None  # another order than the one that was approved

    async def before_delete(self, row: Order) -> None:
        if row.status not in (DRAFT, CANCELLED):
            raise OrderNotDraft(f"It is {row.status}: cancel it, or take goods back.", state=row.status)
        if row.credit_requested is not None:
            raise ApprovalPending
        if row.status == DRAFT:
            await self.benefits.release(row)

    async def locked(self, id: UUID, expected_version: int | None = None) -> Order:
        """The row, held until the transaction ends. Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self.get(id, action="update", lock="update")
        if expected_version is not None:
            require_version(row.version, expected=expected_version)
        return row


ORDER: RecordType[Order] = RecordType(
    object="order",
    plural="orders",
    module="orders",
    model=Order,
    read=OrderRead,
    detail=OrderDetail,
    parts=(of_lines.LINES, BENEFITS),
    create=OrderCreate,
    update=OrderUpdate,
    service=OrderService,
    title="number",
    search=Search(names=("number", "customer_reference")),
    follows=dict.fromkeys(
        (
            "gross",
            "discount",
            "subtotal",
            "header_discount",
            "benefit_discount",
            "net",
            "tax",
            "discount_amount",
            "commission",
            "credit_requested",
            "credit_approved",
        ),
        "total",
    )
    | {"margin": "cost", "cost": ("total", "margin", "product.costs")},
    importable=False,
    labels={
        "number": ("order number", "订单号", "订单编号"),
        "status": ("状态",),
        "customer_reference": ("reference", "客户订单号", "客户参考号"),
        "ordered_on": ("order date", "下单日期"),
        "total": ("amount", "订单金额", "总额"),
        "payment_status": ("payment status", "付款状态"),
        "held_for": ("on hold", "暂缓原因"),
        "source": ("来源",),
        "channel": ("渠道",),
    },
)
OrderService.record = ORDER
