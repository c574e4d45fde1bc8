"""The instalments of payment plans: made from the plan, due by the calendar, invoiced and paid under their locks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Invalid, NotFound
from app.kernel.ids import new_id
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import (
    ContractNotActive,
    InstalmentExceeded,
    InstalmentStatus,
    InstalmentStatusChanged,
)
from app.modules.contracts.models import Contract, Instalment
from app.modules.contracts.schemas.parts import PlanItem
from app.modules.contracts.services.plans import Planned, expand
from app.modules.contracts.services.states import BILLABLE

STATUS: Final = (
    "CASE WHEN i.paid >= i.amount THEN 'paid' WHEN i.due_on < {today} THEN 'overdue'"
    " WHEN i.paid > 0 THEN 'partly_paid' WHEN i.due_on = {today} THEN 'due' ELSE 'pending' END"
)
"""SQL of `status_on` for an instalment `i`."""


def status_on(today: date, *, amount: int, paid: int, due_on: date) -> InstalmentStatus:
    """The status of an instalment of a contract in force, on a day of the tenant's calendar."""
    if paid >= amount:
        return InstalmentStatus.PAID
    if due_on < today:
        return InstalmentStatus.OVERDUE
    if paid:
        return InstalmentStatus.PARTLY_PAID
    return InstalmentStatus.DUE if due_on == today else InstalmentStatus.PENDING


def items_of(plan: Sequence[Any]) -> list[PlanItem]:
    """A stored plan, read again."""
    return [PlanItem.model_validate(item) for item in plan]


class Instalments:
    """The payments of contracts."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    @property
    def today(self) -> date:
        """The day that the tenant's calendar shows."""
        return self._uow.actor.tenant.day_of(self._uow.now)

    async def of(self, contract_id: UUID) -> list[Instalment]:
        """By position."""
        statement = self._uow.select(Instalment).where(Instalment.contract_id == contract_id)
        return await self._uow.all(statement.order_by(Instalment.position, Instalment.id))

    async def held(self, contract_id: UUID) -> list[Instalment]:
        """By position, and nobody bills them meanwhile."""
        statement = self._uow.select(Instalment).where(Instalment.contract_id == contract_id)
        rows = await self._uow.all(statement.order_by(Instalment.id).with_for_update())
        return sorted(rows, key=lambda row: row.position)

    def require_plan(self, values: Mapping[str, Any], items: Sequence[PlanItem]) -> list[Planned]:
        """The instalments of a plan over changed values. Raises `Invalid` at the value, which is what changed."""
        try:
            return expand(
                items, Money(values["value"], values["currency"]), values["starts_on"], values["ends_on"]
            )
        except Invalid as refusal:
            raise Invalid.at(
                "/value",
                "plan_mismatch",
                f"The payment plan no longer fits, so replace or empty it first: {refusal.detail}",
            ) from None

    async def rebuild(self, row: Contract) -> None:
        """Make a draft's instalments anew from its plan. Raises `Invalid`."""
        planned = expand(items_of(row.plan), Money(row.value, row.currency), row.starts_on, row.ends_on)
        await self._uow.fetch(
            "DELETE FROM contracts.instalments WHERE tenant_id = $1 AND contract_id = $2",
            row.tenant_id,
            row.id,
        )
        await self.add(row, planned, start=0)

    async def add(self, row: Contract, planned: Iterable[Planned], *, start: int) -> None:
        """Add instalments behind position `start`; they are not effective yet."""
        made = [
            {
                "id": new_id(),
                "contract_id": row.id,
                "position": position,
                "label": one.label,
                "amount": one.amount.amount_minor,
                "currency": row.currency,
                "invoiced": 0,
                "paid": 0,
                "due_after": None if one.due_after is None else one.due_after.value,
                "due_days": one.due_days,
                "due_on": one.due_on,
                "status": InstalmentStatus.NOT_YET_EFFECTIVE.value,
            }
            for position, one in enumerate(planned, start)
        ]
        await self._uow.insert_many(Instalment, made)

    async def put_in_force(self, contract_id: UUID, *, signed_on: date, activated_on: date) -> None:
        """The contract was signed: days that were counted from that are known, and the calendar begins to count."""
        await self._uow.fetch(
            _PUT_IN_FORCE, self._uow.tenant_id, contract_id, signed_on, activated_on, self.today
        )

    async def void(
        self, contract_ids: Sequence[UUID], *, from_day: Mapping[UUID, date] | None = None
    ) -> None:
        """What nobody has invoiced or paid is void; with `from_day`, only what falls due on that day or later."""
        days = from_day or {}
        await self._uow.fetch(
            "UPDATE contracts.instalments i SET status = 'void' FROM unnest($2::uuid[], $3::date[]) AS c(id, day)"
            " WHERE i.tenant_id = $1 AND i.contract_id = c.id AND i.invoiced = 0 AND i.paid = 0"
            " AND i.status <> 'void' AND (c.day IS NULL OR i.due_on >= c.day)",
            self._uow.tenant_id,
            list(contract_ids),
            [days.get(id) for id in contract_ids],
        )

    # -- billing -------------------------------------------------------------------------------------------

    async def invoiced(self, id: UUID, change: Money) -> Instalment:
        """Raises `NotFound`; `ContractNotActive`; `InstalmentExceeded`, which carries what may still be invoiced."""
        row = await self._locked(id, change)
        if change.amount_minor > 0:
            await self._require_billable(row)
        return await self._move(row, "invoiced", change)

    async def paid(self, id: UUID, change: Money) -> Instalment:
        """Raises `NotFound`; `InstalmentExceeded` beyond its amount, or to pay back more than was paid."""
        return await self._move(await self._locked(id, change), "paid", change)

    async def _locked(self, id: UUID, change: Money) -> Instalment:
        row = await self._uow.get(Instalment, id, lock="update")
        if change.currency != row.currency:
            raise Invalid.at("/amount/currency", "other_currency", f"The contract is in {row.currency}.")
        return row

    async def _require_billable(self, row: Instalment) -> None:
        found = await self._uow.fetchrow(
            "SELECT status FROM contracts.contracts WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL",
            row.tenant_id,
            row.contract_id,
        )
        if found is None:
            raise NotFound
        if found["status"] not in BILLABLE or row.status == InstalmentStatus.VOID:
            what = "void" if row.status == InstalmentStatus.VOID else found["status"]
            raise ContractNotActive(f"It is {what.replace('_', ' ')}.", status_now=found["status"])

    async def _move(self, row: Instalment, column: str, change: Money) -> Instalment:
        before: int = getattr(row, column)
        after = before + change.amount_minor
        if not 0 <= after <= row.amount:
            left = row.amount - before if change.amount_minor > 0 else before
            raise InstalmentExceeded(
                f"{Money(left, row.currency)} is left.", left=Money(left, row.currency).to_wire()
            )
        changes: dict[str, Any] = {column: after}
        if row.due_on is not None and row.status not in _ASIDE:
            paid = after if column == "paid" else row.paid
            changes["status"] = status_on(self.today, amount=row.amount, paid=paid, due_on=row.due_on).value
        moved = await self._uow.update(row, **changes)
        told = {"position": [row.position, row.position], column: [before, after]}
        self._uow.record_audit("contract_instalment", row.contract_id, column, told)
        self.tell([(moved, row.status)])
        return moved

    def tell(self, moved: Iterable[tuple[Instalment, str]]) -> None:
        """Say which instalments have another status than before."""
        for row, former in moved:
            if row.status != former:
                self._uow.publish(
                    InstalmentStatusChanged(
                        id=row.contract_id,
                        instalment_id=row.id,
                        former=former,
                        status=row.status,
                        due_on=row.due_on,
                    )
                )


_ASIDE: Final = frozenset({InstalmentStatus.NOT_YET_EFFECTIVE.value, InstalmentStatus.VOID.value})
_PUT_IN_FORCE: Final = f"""
UPDATE contracts.instalments t SET due_on = i.due_on, status = {STATUS.format(today="$5::date")}
FROM (
  SELECT s.id, s.amount, s.paid, CASE s.due_after
      WHEN 'signing' THEN $3::date + s.due_days::int
      WHEN 'activation' THEN $4::date + s.due_days::int
      ELSE s.due_on END AS due_on
  FROM contracts.instalments s
  WHERE s.tenant_id = $1 AND s.contract_id = $2 AND s.status = 'not_yet_effective'
) i
WHERE t.tenant_id = $1 AND t.id = i.id"""
