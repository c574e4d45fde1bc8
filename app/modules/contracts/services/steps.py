"""The steps of a contract's life that somebody takes: sign, void, reopen, give notice, terminate."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import (
    AmendmentOpen,
    ContractActivated,
    ContractEnded,
    ContractInUse,
    ContractStepped,
)
from app.modules.contracts.models import Contract, ContractStatus
from app.modules.contracts.schemas import Signature, Termination
from app.modules.contracts.services.clauses import ClauseService
from app.modules.contracts.services.contracts import ContractService
from app.modules.contracts.services.revisions import RevisionService
from app.modules.contracts.services.states import MACHINE
from app.modules.customers.interface import Customers

END = "end"
"""The action of `contract:end`, which voiding and terminating need."""


class ContractSteps:
    """What happens to contracts as a whole."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self.contracts = ContractService(uow)
        self._clauses = ClauseService(uow)
        self._revisions = RevisionService(uow)

    @property
    def today(self) -> date:
        """The day that the tenant's calendar shows."""
        return self.contracts.instalments.today

    async def step(self, row: Contract, step: str, reason: str | None = None, **changes: Any) -> Contract:
        """Move a held row by the table of states. Raises `InvalidTransition`."""
        status = MACHINE.next(ContractStatus(row.status), step)
        return await self.contracts.write(
            row, {**changes, "status": status.value}, action=step, reason=reason
        )

    def told(self, row: Contract, step: str, reason: str | None = None) -> Contract:
        """Publish a step that has no event of its own."""
        self._uow.publish(ContractStepped(id=row.id, step=step, status=row.status, reason=reason))
        return row

    # -- into force ----------------------------------------------------------------------------------------

    async def approve(self, row: Contract) -> Contract:
        """Nobody has anything against a held contract any more; it waits for signatures."""
        return self.told(await self.step(row, "approve"), "approve")

    async def give_back(self, row: Contract, reason: str | None) -> Contract:
        """It was refused, or taken back: it is a draft again, whose texts follow it."""
        after = await self.step(row, "return", reason)
        await self._clauses.thaw(row.id)
        return self.told(after, "return", reason)

    async def activate(self, id: UUID, given: Signature, *, expected_version: int) -> Contract:
        """It was signed, and is in force. Raises `NotFound`, `StaleVersion`, `InvalidTransition`, `Invalid`."""
        row = await self.contracts.held(id, expected_version)
        signed_on = given.signed_on or self.today
        if signed_on > self.today:
            raise Invalid.at("/signed_on", "in_future", "Nobody has signed it in the future.")
        return await self.put_in_force(
            row, signed_on=signed_on, counted_from=(signed_on, self.today), signed_by=given.signed_by
        )

    async def put_in_force(
        self, row: Contract, *, signed_on: date | None, counted_from: tuple[date, date], **changes: Any
    ) -> Contract:
        """A held contract comes into force; `counted_from` are the days of signing and activation for its plan."""
        after = await self.step(
            row,
            "activate",
            signed_on=signed_on,
            activated_at=self._uow.now,
            revision=row.revision + 1,
            **changes,
        )
        signing, activation = counted_from
        await self.contracts.instalments.put_in_force(row.id, signed_on=signing, activated_on=activation)
        await self._revisions.keep(after, activation)
        await self._uow.of(Customers).advance(after.account_id, "customer")
        self._uow.publish(
            ContractActivated(
                id=after.id,
                account_id=after.account_id,
                opportunity_id=after.opportunity_id,
                quote_id=after.quote_id,
                value=Money(after.value, after.currency).to_texts(),
                starts_on=after.starts_on,
                ends_on=after.ends_on,
            )
        )
        return after

    # -- out of force --------------------------------------------------------------------------------------

    async def void(self, id: UUID, reason: str, *, expected_version: int) -> Contract:
        """Take back what was approved or signed, so that it can be reopened and edited.

        Raises: NotFound; Forbidden; StaleVersion; InvalidTransition; ContractInUse where orders or invoices rest on
        it; AmendmentOpen.
        """
        row = await self.contracts.held(id, expected_version, action=END)
        MACHINE.next(ContractStatus(row.status), "void")
        await self._require_unused(row)
        await self._require_no_amendment(row)
        changes = {"void_reason": reason, "terminates_on": None, "termination_reason": None}
        after = await self.step(row, "void", reason, notice_given_on=None, **changes)
        await self.contracts.instalments.void([id])
        return self.told(after, "void", reason)

    async def reopen(self, id: UUID, *, expected_version: int) -> Contract:
        """Make a voided contract a draft again. Raises `NotFound`, `StaleVersion`, `InvalidTransition`."""
        row = await self.contracts.held(id, expected_version)
        after = await self.step(row, "reopen", signed_on=None, signed_by=None, void_reason=None)
        await self._clauses.thaw(id)
        await self.contracts.instalments.rebuild(after)
        return self.told(after, "reopen")

    async def terminate(self, id: UUID, given: Termination, *, expected_version: int) -> Contract:
        """End it before its term is over: at once, or, by the calendar, when the day has come.

        Raises: NotFound; Forbidden; StaleVersion; InvalidTransition; AmendmentOpen; Invalid for a day before the
        period of notice is over, or one that is not within the term.
        """
        row = await self.contracts.held(id, expected_version, action=END)
        MACHINE.next(ContractStatus(row.status), "terminate")
        await self._require_no_amendment(row)
        noticed = given.notice_given_on or self.today
        day = _last_day(row, given, noticed, self.today)
        changes = {
            "notice_given_on": noticed,
            "terminates_on": day,
            "termination_reason": given.reason,
        }
        if day > self.today:
            after = await self.contracts.write(row, changes, action="give_notice", reason=given.reason)
            return self.told(after, "give_notice", given.reason)
        after = await self.step(row, "terminate", given.reason, ended_at=self._uow.now, **changes)
        await self.contracts.instalments.void([id], from_day={id: day})
        self.ended(after)
        return after

    async def withdraw_notice(self, id: UUID, *, expected_version: int) -> Contract:
        """A contract under notice goes on. Raises `NotFound`, `Forbidden`, `StaleVersion`, `Invalid`."""
        row = await self.contracts.held(id, expected_version, action=END)
        MACHINE.next(ContractStatus(row.status), "terminate")
        changes = dict.fromkeys(("notice_given_on", "terminates_on", "termination_reason"))
        after = await self.contracts.write(row, dict(changes), action="withdraw_notice")
        return row if after is row else self.told(after, "withdraw_notice")

    def ended(self, row: Contract) -> None:
        """Publish that a contract is over."""
        self._uow.publish(
            ContractEnded(
                id=row.id,
                account_id=row.account_id,
                status=row.status,
                reason=row.termination_reason,
                successor_id=row.successor_id,
            )
        )

    async def _require_unused(self, row: Contract) -> None:
        instalments = await self.contracts.instalments.held(row.id)
        invoiced = sum(one.invoiced for one in instalments)
        if row.drawn or invoiced or any(one.paid for one in instalments):
            if self.contracts.hides_value:
                raise ContractInUse
            drawn, billed = Money(row.drawn, row.currency), Money(invoiced, row.currency)
            raise ContractInUse(drawn=drawn.to_wire(), invoiced=billed.to_wire())

    async def _require_no_amendment(self, row: Contract) -> None:
        found = await self._uow.fetchrow(
            "SELECT number FROM contracts.amendments WHERE tenant_id = $1 AND contract_id = $2"
            " AND status IN ('draft', 'in_approval', 'approved')",
            row.tenant_id,
            row.id,
        )
        if found is not None:
            raise AmendmentOpen("Withdraw the amendment first.", number=found["number"])


def _last_day(row: Contract, given: Termination, noticed: date, today: date) -> date:
    """The first day on which a terminated contract is no longer in force. Raises `Invalid`."""
    earliest = noticed if given.waive_notice else noticed + timedelta(days=row.notice_days)
    day = given.terminates_on or max(earliest, today)
    if noticed > today:
        raise Invalid.at("/notice_given_on", "in_future", "Notice is given today or was given before.")
    if day < earliest:
        told = f"With {row.notice_days} days of notice it ends on {earliest} at the earliest."
        raise Invalid.at("/terminates_on", "notice_period", told)
    if day < row.starts_on:
        raise Invalid.at("/terminates_on", "before_start", "It does not end before it starts.")
    if row.ends_on is not None and day > row.ends_on + timedelta(days=1):
        raise Invalid.at("/terminates_on", "after_the_term", f"Its term is over on {row.ends_on} anyway.")
    return day
