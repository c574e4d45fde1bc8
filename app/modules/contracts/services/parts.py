"""Parties, lines and the payment plan of contracts: read at any time, replaced whole while it is a draft."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.errors import FieldError, Invalid
from app.kernel.ids import new_id
from app.kernel.money import AmountOutOfRange, Money, MoneySum, UnitPrice
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import ChargeKind
from app.modules.contracts.interface import InstalmentStatus
from app.modules.contracts.models import Contract, DueAfter, Instalment, Line, Party, PartyRole
from app.modules.contracts.schemas import MAX_AMOUNT_MINOR
from app.modules.contracts.schemas.parts import (
    ContractLineRead,
    ContractLines,
    InstalmentRead,
    LineInput,
    Parties,
    PartyInput,
    PartyRead,
    PlanItem,
    PlanRead,
)
from app.modules.contracts.services.contracts import ContractService
from app.modules.contracts.services.plans import expand

VOID = "void"


class PartService:
    """What contracts are made of."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self.contracts = ContractService(uow)

    # -- parties -------------------------------------------------------------------------------------------

    async def parties(self, contract_id: UUID) -> Parties:
        """In their order. Raises `NotFound` for a contract that is not visible."""
        await self.contracts.get(contract_id)
        return Parties(data=[read_party(row) for row in await self.parties_of(contract_id)])

    async def set_parties(
        self, contract_id: UUID, given: Sequence[PartyInput], *, expected_version: int
    ) -> Contract:
        """Replace the parties of a draft. Raises `NotFound`, `StaleVersion`, `ContractLocked`, `Invalid`."""
        row = await self.contracts.draft(contract_id, expected_version)
        before = await self.parties_of(contract_id)
        after = await self.replace_parties(row, await self.named(given))
        names = [[one.name for one in before], [one["name"] for one in after]]
        return await self.contracts.bump(row, "parties", *names)

    async def named(self, given: Sequence[PartyInput]) -> list[PartyInput]:
        """The same parties, each with its name. Raises `Invalid` for accounts and contacts that are not there."""
        references = self.contracts.references
        values = [{"account_id": one.account_id, "contact_id": one.contact_id} for one in given]
        await references.check_each(values, pointers=[f"/parties/{index}" for index in range(len(given))])
        return [
            one.model_copy(update={"name": one.name or references.name_of(named)})
            for one, named in zip(given, values, strict=True)
        ]

    async def replace_parties(self, row: Contract, given: Sequence[PartyInput]) -> list[dict[str, Any]]:
        """Put these, which have names, in the place of those that a held contract has."""
        rows = [
            {
                "id": new_id(),
                "contract_id": row.id,
                "position": position,
                "role": one.role.value,
                "account_id": one.account_id,
                "contact_id": one.contact_id,
                "name": one.name or "",
                "title": one.title,
            }
            for position, one in enumerate(given)
        ]
        await self._replace("parties", row.id)
        await self._uow.insert_many(Party, rows)
        return rows

    async def parties_of(self, contract_id: UUID) -> list[Party]:
        statement = self._uow.select(Party).where(Party.contract_id == contract_id)
        return await self._uow.all(statement.order_by(Party.position, Party.id))

    # -- lines ---------------------------------------------------------------------------------------------

    async def lines(self, contract_id: UUID) -> ContractLines:
        """In their order, and what they come to. Raises `NotFound` for a contract that is not visible."""
        row = await self.contracts.get(contract_id)
        lines, hidden = await self.lines_of(contract_id), self.contracts.hides_value
        total = None if hidden else MoneySum(sum(line.amount for line in lines), row.currency)
        return ContractLines(
            data=[read_line(line, row.currency, hidden=hidden) for line in lines], amount=total
        )

    async def set_lines(
        self, contract_id: UUID, given: Sequence[LineInput], *, expected_version: int
    ) -> Contract:
        """Replace the lines of a draft. Raises as `set_parties`, and `Forbidden` where prices are hidden."""
        row = await self.contracts.draft(contract_id, expected_version)
        self.contracts.require_writable("value")
        before = await self.lines_of(contract_id)
        await self.contracts.references.check_products([one.product_id for one in given], "/lines")
        await self.replace_lines(row, given)
        names = [[one.description for one in before], [one.description for one in given]]
        return await self.contracts.bump(row, "lines", *names)

    async def replace_lines(self, row: Contract, given: Sequence[LineInput]) -> None:
        """Put these, of known products, in the place of those that a held contract has. Raises `Invalid`."""
        amounts = line_amounts(given, row.currency)
        await self._replace("lines", row.id)
        await self.add_lines(
            row.id,
            [
                {
                    "product_id": one.product_id,
                    "description": one.description,
                    "quantity": Decimal(one.quantity),
                    "unit_price": one.unit_price.amount,
                    "charge": one.charge.value,
                    "amount": amount,
                }
                for one, amount in zip(given, amounts, strict=True)
            ],
        )

    async def add_lines(self, contract_id: UUID, lines: Sequence[dict[str, Any]]) -> None:
        """Write checked lines of a contract that has none."""
        rows = [
            {"id": new_id(), "contract_id": contract_id, "position": position, **line}
            for position, line in enumerate(lines)
        ]
        await self._uow.insert_many(Line, rows)

    async def lines_of(self, contract_id: UUID) -> list[Line]:
        statement = self._uow.select(Line).where(Line.contract_id == contract_id)
        return await self._uow.all(statement.order_by(Line.position, Line.id))

    # -- payment plan --------------------------------------------------------------------------------------

    async def plan(self, contract_id: UUID) -> PlanRead:
        """The instalments by position. Raises `NotFound` for a contract that is not visible."""
        row = await self.contracts.get(contract_id)
        return self._read_plan(row, await self.contracts.instalments.of(contract_id))

    async def set_plan(
        self, contract_id: UUID, items: Sequence[PlanItem], *, expected_version: int
    ) -> Contract:
        """Replace a draft's plan; it sums to the contract's value. Raises as `set_lines`."""
        row = await self.contracts.draft(contract_id, expected_version)
        self.contracts.require_writable("value")
        expand(items, Money(row.value, row.currency), row.starts_on, row.ends_on)
        plan = [item.model_dump(mode="json") for item in items]
        labels = [[one["label"] for one in row.plan], [one.label for one in items]]
        after = await self.contracts.bump(row, "plan", *labels, plan=plan)
        await self.contracts.instalments.rebuild(after)
        return after

    def _read_plan(self, row: Contract, rows: Sequence[Instalment]) -> PlanRead:
        hidden = self.contracts.hides_value
        total = sum(one.amount for one in rows if one.status != VOID)
        return PlanRead(
            data=[read_instalment(one, hidden=hidden) for one in rows],
            total=None if hidden else Money(total, row.currency),
        )

    async def _replace(self, table: str, contract_id: UUID) -> None:
        await self._uow.fetch(
            f"DELETE FROM contracts.{table} WHERE tenant_id = $1 AND contract_id = $2",
            self._uow.tenant_id,
            contract_id,
        )


def line_amounts(given: Sequence[LineInput], currency: str) -> list[int]:
    """What each line comes to, in minor units: as given, or quantity x price. Raises `Invalid`, all at once."""
    errors: list[FieldError] = []
    amounts: list[int] = []
    for index, line in enumerate(given):
        place = f"/lines/{index}"
        price = line.unit_price
        if not Decimal(line.quantity):
            errors.append(FieldError(f"{place}/quantity", "not_positive", "A quantity is more than nothing."))
        if price.amount < 0:
            errors.append(FieldError(f"{place}/unit_price", "negative", "A price is not negative."))
        for name, used in (("unit_price", price), ("amount", line.amount)):
            if used is not None and used.currency != currency:
                told = FieldError(
                    f"{place}/{name}/currency", "other_currency", f"The contract is in {currency}."
                )
                errors.append(told)
        amounts.append(_amount(line, f"{place}/unit_price", errors))
    if errors:
        raise Invalid(errors[0].detail, errors=errors)
    return amounts


def _amount(line: LineInput, pointer: str, errors: list[FieldError]) -> int:
    if line.amount is not None:
        return line.amount.amount_minor
    try:
        amount = line.unit_price.times(Decimal(line.quantity)).amount_minor
    except AmountOutOfRange:
        amount = MAX_AMOUNT_MINOR + 1
    if amount > MAX_AMOUNT_MINOR:
        errors.append(FieldError(pointer, "amount_out_of_range", "The line comes to too much."))
    return amount


def read_party(row: Party) -> PartyRead:
    return PartyRead(
        id=row.id,
        role=PartyRole(row.role),
        account_id=row.account_id,
        contact_id=row.contact_id,
        name=row.name,
        title=row.title,
    )


def read_line(line: Line, currency: str, *, hidden: bool) -> ContractLineRead:
    """The wire form; `hidden` leaves out every price."""
    return ContractLineRead(
        id=line.id,
        product_id=line.product_id,
        description=line.description,
        quantity=line.quantity,
        unit_price=None if hidden else UnitPrice(line.unit_price, currency),
        charge=ChargeKind(line.charge),
        amount=None if hidden else Money(line.amount, currency),
    )


def read_instalment(row: Instalment, *, hidden: bool) -> InstalmentRead:
    """The wire form; `hidden` leaves out every amount."""

    def money(amount: int) -> Money | None:
        return None if hidden else Money(amount, row.currency)

    return InstalmentRead(
        id=row.id,
        position=row.position,
        label=row.label,
        amount=money(row.amount),
        invoiced=money(row.invoiced),
        paid=money(row.paid),
        due_after=None if row.due_after is None else DueAfter(row.due_after),
        due_days=row.due_days,
        due_on=row.due_on,
        status=InstalmentStatus(row.status),
    )
