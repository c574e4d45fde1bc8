"""What came in by a form of cases; and counters whose hour is over are dropped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.forms.listing import page_of_submissions
from app.kernel.schedules import ScheduledRun
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.forms import CaseForm, CaseSubmissionStatus
from app.modules.after_sales.schemas.forms import CaseFormSubmissionRead
from app.modules.after_sales.services.forms.definitions import COUNTERS

FORGET_EVERY: Final = timedelta(hours=6)


async def submissions(
    uow: UnitOfWork, form_id: UUID, *, status: CaseSubmissionStatus | None, limit: int, cursor: str | None
) -> Page[CaseFormSubmissionRead]:
    """The newest first. Raises `NotFound`, `InvalidCursor`."""
    await uow.get(CaseForm, form_id)
    return await page_of_submissions(
        uow,
        "after_sales.case_form_submissions",
        tuple(CaseFormSubmissionRead.model_fields),
        form_id,
        lambda row: _shown(uow, row),
        status=status.value if status else None,
        limit=limit,
        cursor=cursor,
    )


def _shown(uow: UnitOfWork, row: Any) -> CaseFormSubmissionRead:
    """Answers are those of a case: only who reads all cases reads them, without the fields hidden from them."""
    answers = row["answers"] or None
    if answers is not None:
        hidden = uow.actor.hidden("case")
        told = {
            name: value
            for name, value in answers.items()
            if name not in hidden and not ("custom" in hidden and name.startswith("custom."))
        }
        answers = told if uow.actor.scope("case:read") is Scope.ALL else None
    return CaseFormSubmissionRead(**{**dict(row), "answers": answers})


async def forget_attempts(run: ScheduledRun) -> None:
    """Drop a company's old counters."""
    async with run.transaction() as uow:
        await COUNTERS.forget(uow, uow.now, tenant=uow.tenant_id)
