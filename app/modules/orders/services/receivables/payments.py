"""Payments and refunds as records. What they settle is the ledger's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.errors import DuplicateValue, FieldError, Invalid
from app.kernel.money import Money
from app.kernel.numbering import next_number
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.orders.interface import PaymentReceived
from app.modules.orders.models.receivables import Payment, PaymentKind, PaymentMethod
from app.modules.orders.schemas.receivables import PaymentCreate, PaymentRead, PaymentUpdate
from app.modules.orders.services.receivables.errors import (
    PaidFromStoredValue,
    PaymentAllocated,
    PaymentFinal,
)
from app.modules.orders.services.receivables.ledger import Ledger

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}
_KEEPS_BOOKS = _RUNS_IT | {"manager": Scope.TEAM_AND_BELOW}
_FIXED = ("account_id", "amount", "currency", "received_on")


class PaymentService(RecordService[Payment]):
    """Money that came in or went back."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork, *, stored_value: bool = False) -> None:
        """With `stored_value` for whoever keeps that: nobody else enters such payments."""
        super().__init__(uow)
        self._stored_value = stored_value
        self._kind = PaymentKind.PAYMENT
        self._given: frozenset[str] = frozenset()

    @property
    def today(self) -> date:
        return self.actor.tenant.day_of(self.uow.now)

    async def create(self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> Payment:
        """As every record; without a day it was received today, without an owner it is the account's owner's, or
        of whoever enters it. Raises `DuplicateValue` for a known reference.
        """
        self._given = frozenset(name for name in ("owner_id", "team_id") if given.get(name) is not None)
        received_on = given.get("received_on") or self.today
        return await super().create({**given, "received_on": received_on}, explicit=explicit)

    async def refund(self, values: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> Payment:
        """Money that goes back; whoever calls this allocates it in the same transaction. Raises as `create`."""
        self._kind = PaymentKind.REFUND
        try:
            return await self.create(values, explicit=explicit)
        finally:
            self._kind = PaymentKind.PAYMENT

    def require_keeper(self, *methods: str) -> None:
        """Raises `PaidFromStoredValue`: such payments are not written by hand."""
        if PaymentMethod.STORED_VALUE in methods and not self._stored_value:
            raise PaidFromStoredValue

    async def before_create(self, values: dict[str, Any]) -> None:
        self.require_keeper(values["method"])
        account: UUID = values["account_id"]
        found = (await self.uow.of(Customers).get_many([account], hold=True)).get(account)
        if found is None:
            raise Invalid.at("/account_id", "unknown_reference", "There is no account with this id.")
        if found.owner_id is not None and "owner_id" not in self._given:
            values["owner_id"] = found.owner_id
            if "team_id" not in self._given:
                values["team_id"] = found.team_id
        if values["received_on"] > self.today:
            raise Invalid.at("/received_on", "in_the_future", "That day has not come yet.")
        values["kind"] = self._kind.value
        values["unallocated"] = values["amount"] if self._kind is PaymentKind.PAYMENT else 0
        values["reference_scope"] = account
        await self._require_new(values.get("reference"), account)
        values["number"] = await next_number(self.uow, "payment", "PAY-{year}-{number:05d}")

    async def after_create(self, row: Payment) -> None:
        self.uow.publish(
            PaymentReceived(
                id=row.id,
                account_id=row.account_id,
                kind=row.kind,
                method=row.method,
                amount=Money(row.amount, row.currency).to_texts(),
                received_on=row.received_on,
            )
        )

    async def before_update(self, row: Payment, changes: dict[str, Any]) -> None:
        """Raises `PaymentFinal` for another amount, account or day, as an upsert may bring; `DuplicateValue`."""
        if any(name in changes and changes[name] != getattr(row, name) for name in _FIXED):
            raise PaymentFinal
        if changes.get("method", row.method) != row.method:
            self.require_keeper(row.method, changes["method"])
        if "reference" in changes and changes["reference"] != row.reference:
            await self._require_new(changes["reference"], row.account_id)

    async def before_delete(self, row: Payment) -> None:
        """A payment goes only while it settles nothing; a refund gives back first what it was paid from."""
        self.require_keeper(row.method)
        if row.kind == PaymentKind.PAYMENT and row.unallocated != row.amount:
            allocated = Money(row.amount - row.unallocated, row.currency)
            raise PaymentAllocated(f"It settles {allocated}.", allocated=allocated.to_wire())
        await Ledger(self.uow).give_back(row)

    async def _require_new(self, reference: str | None, account_id: UUID) -> None:
        """The same reference twice is the same payment twice: also where accounts were merged since."""
        if reference is None:
            return
        known = await self.uow.fetchrow(
            "SELECT 1 FROM orders.payments WHERE tenant_id = $1 AND account_id = $2 AND reference = $3"
            " AND kind = $4 AND deleted_at IS NULL",
            self.uow.tenant_id,
            account_id,
            reference,
            self._kind.value,
        )
        if known is not None:
            detail = f"{reference!r} has been entered for this account already."
            raise DuplicateValue(detail, errors=[FieldError("/reference", "duplicate_value", detail)])


PAYMENT: RecordType[Payment] = RecordType(
    object="payment",
    plural="payments",
    module="orders",
    model=Payment,
    read=PaymentRead,
    create=PaymentCreate,
    update=PaymentUpdate,
    service=PaymentService,
    title="number",
    search=Search(names=("number", "reference")),
    importable=False,
    follows={"unallocated": "amount"},
    labels={
        "number": ("Number", "收款单号"),
        "kind": ("Kind", "类型"),
        "method": ("Method", "收款方式"),
        "account_id": ("Account", "客户"),
        "amount": ("Amount", "金额"),
        "unallocated": ("Unallocated", "未核销"),
        "received_on": ("Received", "收款日期"),
        "reference": ("Reference", "银行流水号"),
    },
    default_scopes={"create": _RUNS_IT | {"manager": Scope.ALL}, "update": _KEEPS_BOOKS},
)
PaymentService.record = PAYMENT
