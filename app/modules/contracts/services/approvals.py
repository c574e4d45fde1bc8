"""Contracts and their amendments go past whoever approves them: asked on submission, moved by what is decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import (
    ApprovalQuestion,
    ApprovalRef,
    Approvals,
    ApprovalStatus,
    Resubmit,
)
from app.modules.contracts.models import Contract, ContractStatus
from app.modules.contracts.schemas import ContractSubmission
from app.modules.contracts.services.amendments import AmendmentService
from app.modules.contracts.services.clauses import ClauseService
from app.modules.contracts.services.content import content_of, fingerprint
from app.modules.contracts.services.states import IN_APPROVAL, MACHINE
from app.modules.contracts.services.steps import ContractSteps
from app.modules.customers.interface import Customers

OBJECT: Final = "contract"


class ContractApprovals:
    """Submission and recall of contracts and amendments. Both ask in the contract's name, on its columns."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._steps = ContractSteps(uow)
        self._amendments = AmendmentService(uow)

    async def submit(self, id: UUID, given: ContractSubmission, *, expected_version: int) -> Contract:
        """Ask for approval; where none is needed it is approved at once.

        Raises: NotFound; StaleVersion; InvalidTransition; NoApprover; Invalid for merge fields without a value.
        """
        row = await self._steps.contracts.held(id, expected_version)
        MACHINE.next(ContractStatus(row.status), "submit")
        await ClauseService(self._uow).freeze(row)
        content = await content_of(self._uow, row)
        asked = await self._ask(row, row.__dict__, content, given)
        if asked.status is not ApprovalStatus.PENDING:
            return await self._steps.approve(row)
        return self._steps.told(await self._steps.step(row, "submit"), "submit")

    async def recall(self, id: UUID, note: str | None, *, expected_version: int) -> Contract:
        """Take the submission back. Raises `NotFound`, `StaleVersion`, `InvalidTransition`, `Forbidden`."""
        row = await self._steps.contracts.held(id, expected_version)
        MACHINE.next(ContractStatus(row.status), "return")
        await self._uow.of(Approvals).recall(OBJECT, id, note=note)
        return await self._uow.get(Contract, id)

    async def submit_amendment(
        self, contract_id: UUID, id: UUID, given: ContractSubmission, *, expected_version: int
    ) -> None:
        """The same for an amendment; one that nobody need approve comes into force when its day has come."""
        amendment, row = await self._amendments.to_submit(contract_id, id, expected_version)
        after, content = await self._amendments.tried(row, amendment)
        label = f"amendment {amendment.number}"
        asked = await self._ask(row, after.__dict__, content, given, label=label)
        if asked.status is ApprovalStatus.PENDING:
            await self._amendments.step(amendment, "submit")
        else:
            await self._amendments.approved(amendment, row)

    async def recall_amendment(
        self, contract_id: UUID, id: UUID, note: str | None, *, expected_version: int
    ) -> None:
        """The same for an amendment."""
        await self._amendments.in_approval(contract_id, id, expected_version)
        await self._uow.of(Approvals).recall(OBJECT, contract_id, note=note)

    async def _ask(
        self,
        row: Contract,
        columns: Mapping[str, Any],
        content: dict[str, Any],
        given: ContractSubmission,
        *,
        label: str = "",
    ) -> ApprovalRef:
        await self._uow.of(People).require_members(given.chosen_ids, pointer="/chosen_ids")
        names = await self._uow.of(Customers).account_names([row.account_id])
        head = f"{row.number} {label}".strip()
        question = ApprovalQuestion(
            object=OBJECT,
            record_id=row.id,
            label=f"{head} · {names.get(row.account_id, row.title)}",
            row={name: value for name, value in columns.items() if not name.startswith("_")},
            fingerprint=fingerprint(content),
            owner_id=row.owner_id,
            note=given.note,
            chosen_ids=tuple(given.chosen_ids),
            resubmit=Resubmit.REFUSING_STEP if given.from_refusing_step else Resubmit.START,
        )
        return await self._uow.of(Approvals).request(question)


class ContractSubject:
    """`ApprovalSubject`: a decision about a contract in approval is its own, any other is its amendment's."""

    object: ClassVar[str] = OBJECT

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def decided(self, record_id: UUID, status: ApprovalStatus, request: ApprovalRef) -> None:
        """Move the contract, or its amendment, in the same transaction."""
        row = await self._uow.get(Contract, record_id, lock="update")
        if row.status != IN_APPROVAL:
            await AmendmentService(self._uow).decided(row, approved=status is ApprovalStatus.APPROVED)
            return
        steps = ContractSteps(self._uow)
        if status is ApprovalStatus.APPROVED:
            await steps.approve(row)
        else:
            await steps.give_back(row, request.note)

    async def visible(self, record_ids: Collection[UUID]) -> Collection[UUID]:
        """Those that the actor may see."""
        if not self._uow.actor.may("contract:read"):
            return ()
        return set(await ContractSteps(self._uow).contracts.get_many(list(record_ids)))
