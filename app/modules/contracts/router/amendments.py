"""`/v1/contracts/{id}/amendments`: changes of contracts in force."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Response

from app.kernel.errors import Conflict, InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.automation.interface import ApprovalPending, NoApprover, NoPendingApproval
from app.modules.contracts.interface import AmendmentOpen, ContractNotActive
from app.modules.contracts.schemas import ContractRecall, ContractSubmission
from app.modules.contracts.schemas.texts import AmendmentCreate, AmendmentRead, Amendments, AmendmentUpdate
from app.modules.contracts.services.amendments import AmendmentService
from app.modules.contracts.services.approvals import ContractApprovals

router = Router(tags=["contracts"])

READ, UPDATE = "contract:read", "contract:update"
OF = "/v1/contracts/{id}/amendments"
AmendmentId = Annotated[UUID, Path(description="The amendment.")]
_STEP = (InvalidTransition, StaleVersion, VersionRequired)


@router.get(OF, access=READ)
async def list_contract_amendments(id: UUID, uow: Uow) -> Amendments:
    """The contract's amendments, oldest first."""
    return Amendments(data=await AmendmentService(uow).all(id))


@router.post(OF, access=UPDATE, status_code=201, responses=problems(ContractNotActive, AmendmentOpen))
async def create_contract_amendment(
    id: UUID, body: AmendmentCreate, uow: Uow, response: Response
) -> AmendmentRead:
    """Draft a change of an active contract; changes that it could not take are refused at once."""
    made = await AmendmentService(uow).create(id, body)
    tag(response, made)
    response.headers["Location"] = f"/v1/contracts/{id}/amendments/{made.id}"
    return made


@router.get(f"{OF}/{{amendment_id}}", access=READ)
async def get_contract_amendment(
    id: UUID, amendment_id: AmendmentId, uow: Uow, response: Response
) -> AmendmentRead:
    """One amendment."""
    found = await AmendmentService(uow).get(id, amendment_id)
    tag(response, found)
    return found


@router.patch(
    f"{OF}/{{amendment_id}}",
    access=UPDATE,
    responses=problems(Conflict, StaleVersion, VersionRequired),
)
async def update_contract_amendment(
    id: UUID,
    amendment_id: AmendmentId,
    body: AmendmentUpdate,
    version: IfMatch,
    uow: Uow,
    response: Response,
) -> AmendmentRead:
    """Change an amendment while it is a draft."""
    changed = await AmendmentService(uow).update(id, amendment_id, body, expected_version=version)
    tag(response, changed)
    return changed


@router.post(
    f"{OF}/{{amendment_id}}/submit",
    access=UPDATE,
    responses=problems(*_STEP, ContractNotActive, ApprovalPending, NoApprover),
)
async def submit_contract_amendment(
    id: UUID,
    amendment_id: AmendmentId,
    version: IfMatch,
    uow: Uow,
    response: Response,
    given: ContractSubmission | None = None,
) -> AmendmentRead:
    """Ask for approval, on the contract as it would be; where none is needed it comes into force on its day."""
    approvals = ContractApprovals(uow)
    await approvals.submit_amendment(
        id, amendment_id, given or ContractSubmission(), expected_version=version
    )
    return await _answer(id, amendment_id, uow, response)


@router.post(f"{OF}/{{amendment_id}}/recall", access=UPDATE, responses=problems(*_STEP, NoPendingApproval))
async def recall_contract_amendment(
    id: UUID,
    amendment_id: AmendmentId,
    version: IfMatch,
    uow: Uow,
    response: Response,
    given: ContractRecall | None = None,
) -> AmendmentRead:
    """Take a submission back: the amendment is a draft again."""
    note = given.note if given else None
    await ContractApprovals(uow).recall_amendment(id, amendment_id, note, expected_version=version)
    return await _answer(id, amendment_id, uow, response)


@router.post(f"{OF}/{{amendment_id}}/withdraw", access=UPDATE, responses=problems(*_STEP))
async def withdraw_contract_amendment(
    id: UUID, amendment_id: AmendmentId, version: IfMatch, uow: Uow, response: Response
) -> AmendmentRead:
    """Give an amendment up that is not in force yet."""
    await AmendmentService(uow).withdraw(id, amendment_id, expected_version=version)
    return await _answer(id, amendment_id, uow, response)


async def _answer(id: UUID, amendment_id: UUID, uow: Uow, response: Response) -> AmendmentRead:
    found = await AmendmentService(uow).get(id, amendment_id)
    tag(response, found)
    return found
