"""Returns: from the wish to give goods back to the decision what becomes of them.

What a line of an order gives back is claimed when the return is made, with the order held, so that returns at the
same time never claim more than was delivered; a rejection or a repair lets it go again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.decimals import decimal_text
from app.kernel.errors import Conflict, FieldError, Invalid, require_version
from app.kernel.money import Money
from app.kernel.numbering import next_number
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.statements import entities, entity
from app.kernel.states import StateMachine
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.orders.interface import NewOrderLine, ReturnCompleted, StockNeed
from app.modules.orders.models.orders import Order, OrderLine, ReturnStatus
from app.modules.orders.models.receivables import PaymentMethod
from app.modules.orders.models.returns import Return, ReturnLine
from app.modules.orders.schemas.returns import (
    Inspection,
    ReturnCreate,
    ReturnDetail,
    ReturnLineInput,
    ReturnRead,
    ReturnUpdate,
)
from app.modules.orders.services import return_lines as of_lines
from app.modules.orders.services.lines import as_new
from app.modules.orders.services.orders import UNSAID, OrderService
from app.modules.orders.services.receivables.returned import credit_returned
from app.modules.orders.services.references import References
from app.modules.orders.services.return_lines import ReturnLines
from app.modules.orders.services.steps import OrderSteps
from app.modules.orders.services.stock import stock_of

NUMBER = "R-{year}-{number:05d}"
REQUESTED, APPROVED = ReturnStatus.REQUESTED, ReturnStatus.APPROVED
RECEIVED, INSPECTED = ReturnStatus.RECEIVED, ReturnStatus.INSPECTED
REFUNDED, REPLACED = ReturnStatus.REFUNDED, ReturnStatus.REPLACED
REPAIRED, REJECTED = ReturnStatus.REPAIRED, ReturnStatus.REJECTED

RETURN_STATES: StateMachine[ReturnStatus] = StateMachine(
    "The return",
    REQUESTED,
    {
        (REQUESTED, "approve"): APPROVED,
        (REQUESTED, "reject"): REJECTED,
        (APPROVED, "receive"): RECEIVED,
        (APPROVED, "reject"): REJECTED,
        (RECEIVED, "inspect"): INSPECTED,
        (INSPECTED, "refund"): REFUNDED,
        (INSPECTED, "replace"): REPLACED,
        (INSPECTED, "repair"): REPAIRED,
        (INSPECTED, "reject"): REJECTED,
    },
)


class ReturnService(RecordService[Return]):
    """Returns with their lines."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self.lines = ReturnLines(uow)
        self._orders = OrderService(uow)
        self._rows: list[dict[str, Any]] = []
        self._case_id: UUID | None = None

    # -- making --------------------------------------------------------------------------------------------

    async def create(self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> Return:
        """As every record; what it takes back of an order is claimed from here on.

        Raises: Invalid; ReturnTooLarge for more than was delivered and did not come back.
        """
        self.actor.require("return:create")
        given = dict(given)
        sent: list[ReturnLineInput] = given.pop("lines")
        order, lines = await self._order(given.get("order_id"))
        self._complete(given, order, sent)
        currency: str = given["currency"]
        sent = await self._named(sent)
        of_lines.check(sent, order, lines, currency)
        await self.lines.check_serials(given.get("order_id"), sent)
        self._rows = of_lines.composed(sent, lines, currency=currency, tax_included=given["tax_included"])
        explicit = None if explicit is None else set(explicit) - {"lines"}
        return await super().create(given, explicit=explicit)

    async def create_for(self, case_id: UUID | None, given: Mapping[str, Any]) -> Return:
        """As `create`, of fields as `ReturnCreate` has them, for the case that it came of."""
        self._case_id = case_id
        try:
            body = ReturnCreate.model_validate(given)
            fields = {name: getattr(body, name) for name in ReturnCreate.model_fields}
            return await self.create(fields, explicit=body.model_fields_set)
        finally:
            self._case_id = None

    async def _order(self, id: UUID | None) -> tuple[Order | None, dict[UUID, OrderLine]]:
        """The order that is given back, held, and its lines. Raises `Invalid`."""
        if id is None:
            return None, {}
        found = await self._orders.get_many([id], lock="update") if self.actor.may("order:read") else {}
        if id not in found:
            raise Invalid.at("/order_id", "unknown_reference", "There is no order with this id.")
        lines = (await self._orders.lines.of([id]))[id]
        return found[id], {line.id: line for line in lines}

    async def _named(self, sent: Sequence[ReturnLineInput]) -> list[ReturnLineInput]:
        """The lines with the names of their products where they have no other. Raises `Invalid` for unknown ones."""
        wanted = {line.product_id for line in sent if line.product_id is not None}
        known = await self.uow.of(Catalog).get_many(wanted, hold=True) if wanted else {}
        errors = [
            FieldError(f"/lines/{place}/product_id", "unknown_reference", "There is no product with this id.")
            for place, line in enumerate(sent)
            if line.product_id is not None and line.product_id not in known
        ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors)
        return [
            line
            if line.product_id is None
            else line.model_copy(
                update={
                    "description": line.description or known[line.product_id].name,
                    "unit": line.unit or known[line.product_id].unit,
                }
            )
            for line in sent
        ]

    def _complete(self, given: dict[str, Any], order: Order | None, sent: Sequence[ReturnLineInput]) -> None:
        """What the order, the prices or the company say where the caller did not. Raises `Invalid`."""
        prices = next((line.unit_price.currency for line in sent if line.unit_price is not None), None)
        if order is not None:
            for name in ("account_id", "currency", "tax_included"):
                if given.get(name) not in (None, getattr(order, name)):
                    raise Invalid.at(f"/{name}", "of_the_order", "The order says otherwise.")
                given[name] = getattr(order, name)
            given["contact_id"] = given.get("contact_id") or order.contact_id
        if given.get("account_id") is None:
            raise Invalid.at("/account_id", "required", "Name the order, or who gives something back.")
        given["currency"] = given.get("currency") or prices or self.actor.tenant.currency
        given["tax_included"] = bool(given.get("tax_included"))
        given["requested_on"] = given.get("requested_on") or self.actor.tenant.day_of(self.uow.now)
        for name in ("partner_id", "country", "source"):
            given[name] = None if order is None else getattr(order, name)

    async def before_create(self, values: dict[str, Any]) -> None:
        references = References(self.uow)
        await references.check(values, {"account_id", "contact_id"})
        if values["order_id"] is None:
            values["country"] = await references.country(values)
        for name in ("net", "tax", "total"):
            values[name] = sum(row[name] for row in self._rows)
        values |= {"status": REQUESTED.value, "line_count": len(self._rows)}
        values["exact_value"] = of_lines.exact_value(self._rows)
        values |= dict.fromkeys(("replacement_order_id", "decision_note", "resolved_at"))
        values["case_id"] = self._case_id
        values["number"] = await next_number(self.uow, "return", NUMBER)

    async def after_create(self, row: Return) -> None:
        await self.lines.write(row.id, self._rows)

    async def before_update(self, row: Return, changes: dict[str, Any]) -> None:
        await References(self.uow).check({**row.__dict__, **changes}, changes.keys())

    async def before_delete(self, row: Return) -> None:
        if row.status != REJECTED:
            raise Conflict("Only what was rejected is deleted.", state=row.status)

    # -- steps ---------------------------------------------------------------------------------------------

    async def step(self, id: UUID, name: str, note: str | None = None, *, expected_version: int) -> Return:
        """Approve or receive. Raises `InvalidTransition`, `StaleVersion`."""
        row, status = await self._next(id, name, expected_version)
        return await self._write(row, name, {"status": status.value}, note)

    async def inspect(self, id: UUID, body: Inspection, *, expected_version: int) -> Return:
        """Note how the goods look. Raises `InvalidTransition`, `StaleVersion`, `Invalid`."""
        row, status = await self._next(id, "inspect", expected_version)
        known = {line.id for line in await self.lines.of(id)}
        for place, line in enumerate(body.lines):
            if line.line_id not in known:
                at = f"/lines/{place}/line_id"
                raise Invalid.at(at, "unknown_reference", "No such line in this return.")
        await self.uow.fetch(
            "UPDATE orders.return_lines l SET condition = n.condition, restock = n.restock"
            " FROM unnest($2::uuid[], $3::text[], $4::boolean[]) AS n(id, condition, restock)"
            " WHERE l.tenant_id = $1 AND l.id = n.id",
            row.tenant_id,
            [line.line_id for line in body.lines],
            [line.condition.value for line in body.lines],
            [line.restock for line in body.lines],
        )
        return await self._write(row, "inspect", {"status": status.value}, None)

    async def reject(self, id: UUID, note: str, *, expected_version: int) -> Return:
        """Do not take it; it may be asked for again. Raises `InvalidTransition`, `StaleVersion`."""
        row, status = await self._next(id, "reject", expected_version)
        await self._let_go(row)
        return await self._write(row, "reject", {"status": status.value, "resolved_at": self.uow.now}, note)

    async def refund(
        self, id: UUID, note: str | None, *, expected_version: int, method: PaymentMethod | None = None
    ) -> Return:
        """The customer gets the money back: the amounts are final, and what was invoiced of them is credited.

        With a `method`, what of that was paid is paid back. Raises: InvalidTransition; StaleVersion; Forbidden.
        """
        row, status = await self._next(id, "refund", expected_version)
        lines = await self._take_back(row)
        after = await self._resolve(row, "refund", status, lines, note, {})
        await credit_returned(self.uow, after, lines, method=method)
        return after

    async def replace(self, id: UUID, note: str | None, *, expected_version: int) -> Return:
        """The customer gets the same again, by a confirmed order that costs nothing.

        Raises: InvalidTransition; StaleVersion; OutOfStock.
        """
        row, status = await self._next(id, "replace", expected_version)
        lines = await self._take_back(row)
        order = await self._replacement(row, lines)
        await self.lines.set_amounts({line.id: (0, 0) for line in lines})
        free = [entity(ReturnLine, {**line.__dict__, "net": 0, "tax": 0, "total": 0}) for line in lines]
        return await self._resolve(row, "replace", status, free, note, {"replacement_order_id": order.id})

    async def repair(self, id: UUID, note: str | None, *, expected_version: int) -> Return:
        """The customer gets the goods back, repaired. Raises `InvalidTransition`, `StaleVersion`."""
        row, status = await self._next(id, "repair", expected_version)
        await self._let_go(row)
        lines = await self.lines.of(row.id)
        await self.lines.set_amounts({line.id: (0, 0) for line in lines})
        free = [entity(ReturnLine, {**line.__dict__, "net": 0, "tax": 0, "total": 0}) for line in lines]
        return await self._resolve(row, "repair", status, free, note, {})

    async def _next(self, id: UUID, step: str, expected_version: int) -> tuple[Return, ReturnStatus]:
        row = await self.get(id, action="update", lock="update")
        require_version(row.version, expected=expected_version)
        return row, RETURN_STATES.next(ReturnStatus(row.status), step)

    async def _hold_order(self, row: Return) -> None:
        if row.order_id is not None:
            await self.uow.get(Order, row.order_id, lock="update", deleted=True)

    async def _let_go(self, row: Return) -> None:
        await self._hold_order(row)
        lines = await self.lines.of(row.id)
        await self.lines.claim({line.id: (line.order_line_id, line.quantity) for line in lines}, sign=-1)

    async def _take_back(self, row: Return) -> list[ReturnLine]:
        """The goods are ours again: final amounts, and into stock what the inspection said."""
        await self._hold_order(row)
        lines = await self.lines.of(row.id)
        final = await self.lines.finish(lines)
        await self.lines.set_amounts(final)
        wanted = {line.product_id for line in lines if line.restock and line.product_id is not None}
        known = await self.uow.of(Catalog).get_many(wanted, hold=True) if wanted else {}
        stocked = {id for id, product in known.items() if product.stocked}
        await stock_of(self.uow).take_back(
            [
                StockNeed(
                    order_id=row.order_id or row.id,
                    line_id=line.order_line_id or line.id,
                    product_id=line.product_id,
                    quantity=line.quantity,
                )
                for line in lines
                if line.restock and line.product_id is not None and line.product_id in stocked
            ]
        )
        return [_with_amounts(line, *final[line.id]) for line in lines]

    async def _replacement(self, row: Return, lines: Sequence[ReturnLine]) -> Order:
        of_orders = await self._order_lines([line.order_line_id for line in lines if line.order_line_id])
        again = [_free_line(line, of_orders.get(line.order_line_id)) for line in lines]
        order = None if row.order_id is None else await self.uow.get(Order, row.order_id, deleted=True)
        kept = ("opportunity_id", "partner_id", "partner_name", "channel")
        columns = UNSAID | {
            **{name: None if order is None else getattr(order, name) for name in kept},
            "account_id": row.account_id,
            "contact_id": row.contact_id,
            "quote_id": None,
            "contract_id": None,
            "return_id": row.id,
            "team_id": row.team_id,
            "customer_reference": None,
            "content_hash": None,
            "source": row.source,
            "currency": row.currency,
            "tax_included": row.tax_included,
            "discount_percent": Decimal(0),
            "discount_amount": 0,
            "shipping_address": None if order is None else order.shipping_address,
        }
        made = await self._orders.make_for(row.owner_id, columns, again)
        return await OrderSteps(self._orders).confirm_row(made)

    async def _order_lines(self, ids: Sequence[UUID]) -> dict[UUID | None, OrderLine]:
        rows = await self.uow.fetch(
            "SELECT * FROM orders.order_lines WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self.uow.tenant_id,
            list(ids),
        )
        return {line.id: line for line in entities(OrderLine, rows)}

    async def _resolve(
        self,
        row: Return,
        step: str,
        status: ReturnStatus,
        lines: Sequence[ReturnLine],
        note: str | None,
        changes: Mapping[str, Any],
    ) -> Return:
        sums = {name: sum(getattr(line, name) for line in lines) for name in ("net", "tax", "total")}
        after = await self._write(
            row, step, {"status": status.value, "resolved_at": self.uow.now, **sums, **changes}, note
        )
        self.uow.publish(_completed(after, lines))
        return after

    async def _write(self, row: Return, step: str, changes: dict[str, Any], note: str | None) -> Return:
        if note is not None:
            changes["decision_note"] = note
        return await self.write(row, changes, action=step, reason=note)


def _with_amounts(line: ReturnLine, net: int, tax: int) -> ReturnLine:
    return entity(ReturnLine, {**line.__dict__, "net": net, "tax": tax, "total": net + tax})


def _free_line(line: ReturnLine, of: OrderLine | None) -> NewOrderLine:
    """What replaces a returned line, at no price."""
    cost = None if of is None else of.unit_cost
    if of is not None:
        return replace(
            as_new(of), quantity=line.quantity, unit_price=Decimal(0), gross=None, discount_percent=Decimal(0),
            discount_amount=0, unit_cost=cost, component_of=None, quote_line_id=None,
        )  # fmt: skip
    return NewOrderLine(
        product_id=line.product_id,
        description=line.description,
        unit=line.unit,
        quantity=line.quantity,
        unit_price=Decimal(0),
    )


def _completed(row: Return, lines: Sequence[ReturnLine]) -> ReturnCompleted:
    return ReturnCompleted(
        id=row.id,
        order_id=row.order_id,
        account_id=row.account_id,
        partner_id=row.partner_id,
        resolution=row.status,
        currency=row.currency,
        lines=[
            {
                "order_line_id": None if line.order_line_id is None else str(line.order_line_id),
                "product_id": None if line.product_id is None else str(line.product_id),
                "quantity": decimal_text(line.quantity),
                "net": Money(line.net, row.currency).to_major(),
                "total": Money(line.total, row.currency).to_major(),
            }
            for line in lines
        ],
    )


RETURN: RecordType[Return] = RecordType(
    object="return",
    plural="returns",
    module="orders",
    model=Return,
    read=ReturnRead,
    detail=ReturnDetail,
    parts=(of_lines.LINES,),
    create=ReturnCreate,
    update=ReturnUpdate,
    service=ReturnService,
    title="number",
    search=Search(names=("number", "reason")),
    follows={"net": "total", "tax": "total"},
    importable=False,
    labels={
        "number": ("return number", "退货单号"),
        "status": ("状态",),
        "reason": ("退货原因", "原因"),
        "total": ("amount", "退款金额"),
        "requested_on": ("申请日期",),
    },
)
ReturnService.record = RETURN
