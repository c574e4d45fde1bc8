"""`/v1/contracts` beyond the generated operations: the steps of a contract's life, drawings and revisions."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from app.kernel.errors import (
    Forbidden,
    InvalidCursor,
    InvalidTransition,
    NotFound,
    StaleVersion,
    VersionRequired,
    problems,
)
from app.kernel.figures import Language
from app.kernel.paging import Cursor, Limit
from app.kernel.pdf.answers import PDF, pdf_answer
from app.kernel.pdf.documents import Document
from app.kernel.pdf.kept import fresh_pdf
from app.kernel.pdf.render import DocumentNotRendered
from app.kernel.record_router import record_response, record_router
from app.kernel.routing import CurrentActor, IfMatch, KernelDep, Router, Uow
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import ApprovalPending, NoApprover, NoPendingApproval
from app.modules.contracts.interface import AmendmentOpen, ContractInUse, ContractRenewed
from app.modules.contracts.models import Contract
from app.modules.contracts.schemas import (
    ContractRead,
    ContractRecall,
    ContractSubmission,
    Drawings,
    Renewal,
    Signature,
    Termination,
    Voiding,
)
from app.modules.contracts.schemas.texts import ContractComparison, RevisionRead, Revisions
from app.modules.contracts.services.approvals import ContractApprovals
from app.modules.contracts.services.contracts import CONTRACT
from app.modules.contracts.services.drawings import DrawingService
from app.modules.contracts.services.paper import describe_contract
from app.modules.contracts.services.renewals import Renewals
from app.modules.contracts.services.revisions import RevisionService
from app.modules.contracts.services.steps import ContractSteps

records = record_router(CONTRACT)
router = Router(tags=["contracts"])

READ, UPDATE, END = "contract:read", "contract:update", "contract:end"
OF = "/v1/contracts/{id}"
Number = Annotated[int, Path(ge=1, le=100_000, description="The revision's number.")]
_STEP = problems(InvalidTransition, StaleVersion, VersionRequired)


def _answer(uow: Uow, row: Contract) -> Response:
    return record_response(uow, CONTRACT, row)


@router.post(
    f"{OF}/submit",
    access=UPDATE,
    response_model=ContractRead,
    responses=problems(InvalidTransition, StaleVersion, VersionRequired, ApprovalPending, NoApprover),
)
async def submit_contract(
    id: UUID, version: IfMatch, uow: Uow, given: ContractSubmission | None = None
) -> Response:
    """Ask for approval. Its texts are kept as they are; where nobody has to approve it is approved at once."""
    return _answer(
        uow, await ContractApprovals(uow).submit(id, given or ContractSubmission(), expected_version=version)
    )


@router.post(
    f"{OF}/recall",
    access=UPDATE,
    response_model=ContractRead,
    responses=problems(InvalidTransition, StaleVersion, VersionRequired, NoPendingApproval),
)
async def recall_contract(
    id: UUID, version: IfMatch, uow: Uow, given: ContractRecall | None = None
) -> Response:
    """Take a submission back: the contract is a draft again."""
    note = given.note if given else None
    return _answer(uow, await ContractApprovals(uow).recall(id, note, expected_version=version))


@router.post(f"{OF}/activate", access=UPDATE, response_model=ContractRead, responses=_STEP)
async def activate_contract(id: UUID, version: IfMatch, uow: Uow, given: Signature | None = None) -> Response:
    """An approved contract was signed: it is in force, and the days of its payment plan are known."""
    row = await ContractSteps(uow).activate(id, given or Signature(), expected_version=version)
    return _answer(uow, row)


@router.post(
    f"{OF}/void",
    access=END,
    response_model=ContractRead,
    responses=problems(InvalidTransition, StaleVersion, VersionRequired, ContractInUse, AmendmentOpen),
)
async def void_contract(id: UUID, version: IfMatch, given: Voiding, uow: Uow) -> Response:
    """Take an approved or signed contract back, on which nothing rests, so that it can be edited again."""
    return _answer(uow, await ContractSteps(uow).void(id, given.reason, expected_version=version))


@router.post(f"{OF}/reopen", access=UPDATE, response_model=ContractRead, responses=_STEP)
async def reopen_contract(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Make a voided contract a draft again."""
    return _answer(uow, await ContractSteps(uow).reopen(id, expected_version=version))


@router.post(
    f"{OF}/terminate",
    access=END,
    response_model=ContractRead,
    responses=problems(InvalidTransition, StaleVersion, VersionRequired, AmendmentOpen),
)
async def terminate_contract(id: UUID, version: IfMatch, given: Termination, uow: Uow) -> Response:
    """End a contract before its term is over, at once or on a day to come; what falls due from then on is void."""
    return _answer(uow, await ContractSteps(uow).terminate(id, given, expected_version=version))


@router.post(f"{OF}/withdraw-notice", access=END, response_model=ContractRead, responses=_STEP)
async def withdraw_contract_notice(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Let a contract under notice go on."""
    return _answer(uow, await ContractSteps(uow).withdraw_notice(id, expected_version=version))


@router.post(
    f"{OF}/renew",
    access=UPDATE,
    status_code=201,
    response_model=ContractRead,
    responses=problems(InvalidTransition, StaleVersion, VersionRequired, ContractRenewed),
)
async def renew_contract(id: UUID, version: IfMatch, uow: Uow, given: Renewal | None = None) -> Response:
    """Make the contract of the next period, and answer it. The present one is renewed when its term is over."""
    made = await Renewals(uow).renew(id, given or Renewal(), expected_version=version)
    answer = _answer(uow, made)
    answer.status_code = 201
    answer.headers["Location"] = f"/v1/contracts/{made.id}"
    return answer


# -- drawings and revisions ----------------------------------------------------------------------------------


@router.get(f"{OF}/drawings", access=READ, responses=problems(InvalidCursor))
async def list_contract_drawings(id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None) -> Drawings:
    """What orders have drawn on the contract, oldest first, and what is left."""
    return await DrawingService(uow).page(id, limit=limit, cursor=cursor)


@router.get(f"{OF}/revisions", access=READ)
async def list_contract_revisions(id: UUID, uow: Uow) -> Revisions:
    """What was in force, oldest first; the last one is in force as long as the contract is."""
    return Revisions(data=await RevisionService(uow).all(id))


@router.get(f"{OF}/revisions/{{number}}", access=READ)
async def get_contract_revision(id: UUID, number: Number, uow: Uow) -> RevisionRead:
    """The contract as it was in one revision, whole."""
    return await RevisionService(uow).get(id, number)


@router.get(f"{OF}/revisions/{{number}}/compare", access=READ)
async def compare_contract_revisions(
    id: UUID,
    number: Number,
    uow: Uow,
    to: Annotated[int, Query(ge=1, le=100_000, description="The revision to compare with.")],
) -> ContractComparison:
    """In what another revision differs from this one, field by field."""
    return await RevisionService(uow).compare(id, number, to)


@router.get(
    f"{OF}/pdf",
    access=READ,
    own_transaction=True,
    response_class=Response,
    responses=PDF | problems(NotFound, Forbidden, DocumentNotRendered),
)
async def get_contract_pdf(
    id: UUID,
    kernel: KernelDep,
    actor: CurrentActor,
    language: Annotated[Language | None, Query(description="Absent: the contract's own.")] = None,
) -> Response:
    """A contract as PDF, as it stands, with its parties, payments and clauses; unsigned it is marked as a draft."""

    async def described(uow: UnitOfWork) -> Document:
        return await describe_contract(uow, id, language)

    return pdf_answer(await fresh_pdf(kernel, actor, described))
