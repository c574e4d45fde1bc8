"""A contract in force takes other terms: its columns, parts and texts, and the instalments that are still open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.contracts.models import Contract, Instalment
from app.modules.contracts.schemas.texts import AmendedTerms
from app.modules.contracts.services.clauses import ClauseService
from app.modules.contracts.services.contracts import ContractService, check_term
from app.modules.contracts.services.instalments import items_of, status_on
from app.modules.contracts.services.parts import VOID, PartService
from app.modules.contracts.services.plans import expand, next_plan, reallocate


class AmendedContract:
    """One contract, held."""

    def __init__(self, uow: UnitOfWork, row: Contract) -> None:
        self._uow = uow
        self._row = row
        self._contracts = ContractService(uow)
        self._parts = PartService(uow)
        self._clauses = ClauseService(uow)

    async def take(self, terms: AmendedTerms, **columns: Any) -> Contract:
        """Change it; the contract as it is then. Raises `Invalid` at the place in the terms."""
        changes = self._columns(terms)
        after = {**self._row.__dict__, **changes}
        check_term(after)
        value = Money(after["value"], self._row.currency)
        if terms.plan is not None or "value" in changes:
            changes["plan"] = await self._replan(terms, value, after)
        if terms.parties is not None:
            await self._parts.replace_parties(self._row, terms.parties)
        if terms.lines is not None:
            await self._parts.replace_lines(self._row, terms.lines)
        row = await self._contracts.write(self._row, {**changes, **columns}, action="amended")
        if terms.clauses is not None:
            await self._clauses.replace(row, terms.clauses)
            await self._clauses.freeze(row)
        return row

    def _columns(self, terms: AmendedTerms) -> dict[str, Any]:
        row = self._row
        changes: dict[str, Any] = {}
        if terms.title is not None:
            changes["title"] = terms.title
        if "ends_on" in terms.model_fields_set:
            changes["ends_on"] = terms.ends_on
        if terms.value is not None:
            if terms.value.currency != row.currency:
                raise Invalid.at("/value/currency", "other_currency", f"The contract is in {row.currency}.")
            if terms.value.amount_minor < row.drawn:
                drawn = Money(row.drawn, row.currency)
                raise Invalid.at("/value", "less_than_drawn", f"Orders have drawn {drawn}.")
            changes["value"] = terms.value.amount_minor
        return changes

    async def _replan(self, terms: AmendedTerms, value: Money, after: dict[str, Any]) -> list[Any]:
        """Make what nobody has invoiced or paid come to the rest of the value; the plan to keep for renewals."""
        rows = [row for row in await self._contracts.instalments.held(self._row.id) if row.status != VOID]
        kept = [row for row in rows if row.invoiced or row.paid]
        left = [row for row in rows if not (row.invoiced or row.paid)]
        rest = value - Money(sum(row.amount for row in kept), value.currency)
        if rest.amount_minor < 0:
            raise Invalid.at("/value", "less_than_invoiced", f"{-rest} more than that is invoiced or paid.")
        former = Money(self._row.value, value.currency)
        starts = self._row.starts_on
        if terms.plan is not None:
            await self._replace(terms, rest, after, kept, left)
            items = next_plan(terms.plan, rest, value, starts, starts)
        else:
            await self._adjust(left, rest, has_plan=bool(rows))
            items = next_plan(items_of(self._row.plan), former, value, starts, starts)
        return [item.model_dump(mode="json") for item in items]

    async def _replace(
        self,
        terms: AmendedTerms,
        rest: Money,
        after: dict[str, Any],
        kept: Sequence[Instalment],
        left: Sequence[Instalment],
    ) -> None:
        items = terms.plan or []
        if not items and kept and rest.amount_minor:
            raise Invalid.at("/plan", "plan_mismatch", f"{rest} of the value would be in no instalment.")
        planned = expand(items, rest, after["starts_on"], after["ends_on"], "/plan")
        await self._delete([row.id for row in left])
        instalments, today = self._contracts.instalments, self._contracts.instalments.today
        start = max((row.position for row in kept), default=-1) + 1
        await instalments.add(self._row, planned, start=start)
        await instalments.put_in_force(self._row.id, signed_on=today, activated_on=today)

    async def _adjust(self, left: Sequence[Instalment], rest: Money, *, has_plan: bool) -> None:
        if not left:
            if has_plan and rest.amount_minor:
                raise Invalid.at("/plan", "required", f"Say when {rest} is to be paid: all else is invoiced.")
            return
        today = self._contracts.instalments.today
        for row, amount in zip(left, reallocate([row.amount for row in left], rest), strict=True):
            changes: dict[str, Any] = {"amount": amount.amount_minor}
            if row.due_on is not None:
                status = status_on(today, amount=amount.amount_minor, paid=row.paid, due_on=row.due_on)
                changes["status"] = status.value
            await self._uow.update(row, **changes)

    async def _delete(self, ids: Sequence[UUID]) -> None:
        await self._uow.fetch(
            "DELETE FROM contracts.instalments WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self._uow.tenant_id,
            list(ids),
        )
