"""The contract of the next period: the same agreement, later and perhaps dearer; made once, however many ask."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.ids import new_id
from app.kernel.money import UNIT_PRICE_DECIMALS, Money, UnitPrice
from app.kernel.periods import add_months
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import ContractRenewed
from app.modules.contracts.models import Clause, Contract, ContractStatus, Line, Party, RenewalStatus
from app.modules.contracts.schemas import Renewal
from app.modules.contracts.services.clauses import ClauseService
from app.modules.contracts.services.instalments import items_of
from app.modules.contracts.services.parts import PartService
from app.modules.contracts.services.plans import next_plan
from app.modules.contracts.services.states import MACHINE
from app.modules.contracts.services.steps import ContractSteps

_SAME = (
    "title", "kind", "account_id", "contact_id", "language", "description", "notice_days", "auto_renew",
    "renewal_months", "renewal_uplift_percent", "renewal_status", "renewal_reminder_days", "tags", "team_id",
)  # fmt: skip


class Renewals:
    """Makes successors."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self.steps = ContractSteps(uow)
        self._contracts = self.steps.contracts
        self._parts = PartService(uow)
        self._clauses = ClauseService(uow)

    async def renew(self, id: UUID, given: Renewal, *, expected_version: int) -> Contract:
        """Make the contract of the next period, and answer it. The present one is renewed when its term is over.

        Raises: NotFound; Forbidden; StaleVersion; InvalidTransition; ContractRenewed; Invalid for an open term.
        """
        return await self.succeed(await self._contracts.held(id, expected_version), given)

    async def succeed(self, row: Contract, given: Renewal) -> Contract:
        """The same for a held contract."""
        MACHINE.next(ContractStatus(row.status), "renew")
        if row.successor_id is not None:
            raise ContractRenewed(successor_id=str(row.successor_id))
        months = given.months or row.renewal_months
        if row.ends_on is None:
            raise Invalid.at("", "open_term", "A contract with an open term is not renewed.")
        if row.terminates_on is not None:
            raise Invalid.at("", "under_notice", "Notice was given: withdraw that first.")
        if months is None:
            raise Invalid.at("/months", "required", "Say how long the next period is.")
        uplift = row.renewal_uplift_percent if given.uplift_percent is None else given.uplift_percent
        made = await self._successor(row, row.ends_on + timedelta(days=1), months, 1 + uplift / 100)
        if (given.status or row.renewal_status) == RenewalStatus.ACTIVE:
            made = await self._put_in_force(made)
        await self._retire(row, made)
        return made

    async def _successor(self, row: Contract, starts_on: date, months: int, factor: Decimal) -> Contract:
        before = Money(row.value, row.currency)
        value = before.multiply(factor)
        given = {name: getattr(row, name) for name in _SAME}
        given |= {
            "value": value,
            "starts_on": starts_on,
            "ends_on": add_months(starts_on, months) - timedelta(days=1),
            "custom": await self._custom(row),
        }
        plan = next_plan(items_of(row.plan), before, value, row.starts_on, starts_on)
        made = await self._contracts.create_for(
            row.owner_id,
            given,
            predecessor_id=row.id,
            plan=[item.model_dump(mode="json") for item in plan],
        )
        await self._copy_parts(row, made, factor)
        await self._contracts.instalments.rebuild(made)
        return made

    async def _copy_parts(self, row: Contract, made: Contract, factor: Decimal) -> None:
        uow = self._uow
        parties, clauses = await self._parts.parties_of(row.id), await self._clauses.of(row.id)
        lines = await self._parts.lines_of(row.id)
        await uow.insert_many(Party, [_copy(one, made.id) for one in parties])
        await uow.insert_many(Clause, [_copy(one, made.id, merged=None) for one in clauses])
        await uow.insert_many(
            Line, [_copy(one, made.id, **_dearer(one, row.currency, factor)) for one in lines]
        )

    async def _put_in_force(self, made: Contract) -> Contract:
        """On the terms of the contract before, nobody approves or signs again; its plan counts from its first day."""
        await self._clauses.freeze(made)
        approved = await self.steps.approve(made)
        days = (approved.starts_on, approved.starts_on)
        return await self.steps.put_in_force(approved, signed_on=None, counted_from=days)

    async def _retire(self, row: Contract, made: Contract) -> None:
        over = row.status == ContractStatus.EXPIRED or (
            row.ends_on is not None and row.ends_on < self.steps.today
        )
        if not over:
            await self._contracts.write(row, {"successor_id": made.id}, action="successor_made")
            return
        ended_at = row.ended_at or self._uow.now
        self.steps.ended(await self.steps.step(row, "renew", successor_id=made.id, ended_at=ended_at))

    async def _custom(self, row: Contract) -> dict[str, Any]:
        """The custom values that two contracts may share, and that still have a field."""
        fields = (await self._uow.kernel.custom_fields.of(self._uow, "contract")).by_key
        return {key: value for key, value in row.custom.items() if key in fields and not fields[key].unique}


def _copy(row: Party | Line | Clause, contract_id: UUID, **changes: Any) -> dict[str, Any]:
    same = {name: value for name, value in row.__dict__.items() if not name.startswith("_")}
    return {**same, "id": new_id(), "contract_id": contract_id, **changes}


def _dearer(line: Line, currency: str, factor: Decimal) -> dict[str, Any]:
    """A line's price and amount in the next period, each rounded once."""
    places = Decimal(1).scaleb(-UNIT_PRICE_DECIMALS)
    price = UnitPrice((line.unit_price * factor).quantize(places), currency)
    return {"unit_price": price.amount, "amount": Money(line.amount, currency).multiply(factor).amount_minor}
