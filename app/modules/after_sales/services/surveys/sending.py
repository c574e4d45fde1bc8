"""Asking customers: by itself some time after their case is resolved, or because somebody says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.errors import Invalid, NotFound
from app.kernel.ids import new_id
from app.kernel.jobs import JobContext
from app.kernel.locks import lock_keys
from app.kernel.mail import Message, post
from app.kernel.record_links import RecordLinks
from app.kernel.registry import JobKind, Subscription
from app.kernel.statements import entities
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import SurveyAlreadyAnswered, SurveySent, SurveyTooEarly
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.models.surveys import InvitationStatus, Survey, SurveyInvitation
from app.modules.after_sales.schemas.surveys import (
    SurveyInvitationCreate,
    SurveyInvitationCreated,
    SurveyInvitationRead,
)
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.cases.states import ENDED
from app.modules.after_sales.services.surveys.definitions import SurveyService
from app.modules.after_sales.services.surveys.texts import QUESTIONS, TEXTS
from app.modules.customers.interface import Customers

PAGE: Final = "/s/"
PURPOSE: Final = "after_sales.survey"
AUDITED_AS: Final = "survey_invitation"
JOB: Final = "after_sales.survey.send"
_AFTERWARDS: Final = timedelta(days=90)
"""How long after its last day a survey's link still explains that it is over."""
SCHEDULED, SENT, ANSWERED = InvitationStatus.SCHEDULED, InvitationStatus.SENT, InvitationStatus.ANSWERED
WITHDRAWN, SKIPPED = InvitationStatus.WITHDRAWN, InvitationStatus.SKIPPED


class ResolvedCase(BaseModel):
    """As much of `after_sales.case.resolved.v1` as matters here."""

    id: UUID


class DueInvitation(BaseModel):
    """Which invitation is to be sent."""

    id: UUID


class SurveySender:
    """Invitations, before they are answered."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._links = RecordLinks(uow, purpose=PURPOSE, audit=AUDITED_AS)

    # -- by itself -----------------------------------------------------------------------------------------

    async def after(self, case_id: UUID) -> list[UUID]:
        """Plan what a contact is asked about a case that was resolved: every active survey that keeps its quiet."""
        case = await self._uow.find(Case, case_id)
        surveys = await SurveyService(self._uow).active()
        if case is None or case.status not in ENDED or case.contact_id is None or not surveys:
            return []
        await lock_keys(self._uow, "after_sales.survey", [str(case.contact_id)])
        planned = []
        for survey in surveys:
            send_at = self._uow.now + timedelta(minutes=survey.delay_minutes)
            if await self._asked_since(case, send_at - timedelta(days=survey.quiet_days)):
                continue
            id = await self._plan(survey, case, send_at)
            if id is not None:
                self._uow.enqueue(JOB, {"id": str(id)}, run_at=send_at)
                planned.append(id)
        return planned

    async def _asked_since(self, case: Case, since: Any) -> bool:
        found = await self._uow.fetchrow(
            "SELECT 1 FROM after_sales.survey_invitations WHERE tenant_id = $1 AND contact_id = $2"
            " AND send_at > $3 AND status IN ('scheduled', 'sent', 'answered') LIMIT 1",
            case.tenant_id,
            case.contact_id,
            since,
        )
        return found is not None

    async def _plan(self, survey: Survey, case: Case, send_at: Any) -> UUID | None:
        """A planned invitation; None where the contact has been asked this about the case."""
        rows = await self._uow.fetch(
            "INSERT INTO after_sales.survey_invitations AS i (tenant_id, id, survey_id, case_id, kind, contact_id,"
            " agent_id, product_id, status, send_at, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'scheduled', $9, $10)"
            " ON CONFLICT (tenant_id, case_id, survey_id) DO UPDATE SET status = 'scheduled', send_at = $9,"
            " contact_id = $6, agent_id = $7, product_id = $8, sent_at = NULL, expires_at = NULL"
            " WHERE i.status IN ('withdrawn', 'skipped') RETURNING id",
            self._uow.tenant_id,
            new_id(),
            survey.id,
            case.id,
            survey.kind,
            case.contact_id,
            case.owner_id,
            case.product_id,
            send_at,
            self._uow.now,
        )
        return rows[0]["id"] if rows else None

    async def send_due(self, id: UUID) -> None:
        """Send what is planned and due; one whose case was opened again is withdrawn."""
        row = await self._held(id)
        if row is None or row.status != SCHEDULED or row.send_at > self._uow.now:
            return
        case = await self._uow.find(Case, row.case_id)
        if case is None or case.status not in ENDED:
            await self._uow.update(row, audit=AUDITED_AS, status=WITHDRAWN.value)
            return
        address = await self._address(row)
        if address is None:
            await self._uow.update(row, audit=AUDITED_AS, status=SKIPPED.value)
            return
        _, path = await self._send(row, await SurveyService(self._uow).get(row.survey_id))
        await self._mail(case, row, address, path)

    # -- because somebody says so --------------------------------------------------------------------------

    async def ask(self, survey_id: UUID, how: SurveyInvitationCreate) -> SurveyInvitationCreated:
        """Ask now, or once more while there is no answer.

        Raises: `NotFound`, `Forbidden`; `SurveyTooEarly`; `SurveyAlreadyAnswered`; `Invalid` without an address.
        """
        survey = await SurveyService(self._uow).get(survey_id)
        cases = CaseService(self._uow)
        case = (await cases.get_many([how.case_id])).get(how.case_id)
        if case is None:
            raise Invalid.at("/case_id", "unknown_reference", "There is no case with this id.")
        case = await cases.get(case.id, action="update", lock="update")
        if case.status not in ENDED:
            raise SurveyTooEarly(f"It is {case.status}.", status_now=case.status)
        await self._plan(survey, case, self._uow.now)
        row = await self._held_of(survey.id, case.id)
        if row.status == ANSWERED:
            raise SurveyAlreadyAnswered
        address = await self._address(row) if how.by_mail else None
        if how.by_mail and address is None:
            raise Invalid.at("/case_id", "no_address", "The case has no contact with an e-mail address.")
        row, path = await self._send(row, survey)
        if address is not None:
            await self._mail(case, row, address, path)
        url = self._uow.kernel.settings.address_of(path)
        return SurveyInvitationCreated.model_validate(read_invitation(row).model_dump() | {"url": url})

    async def of_case(self, case_id: UUID) -> list[SurveyInvitation]:
        """Who was asked about a case. Raises `NotFound`."""
        await CaseService(self._uow).get(case_id)
        statement = self._uow.select(SurveyInvitation).where(SurveyInvitation.case_id == case_id)
        return await self._uow.all(statement.order_by(SurveyInvitation.id))

    async def withdraw(self, id: UUID) -> SurveyInvitation:
        """Let somebody off; their links no longer work. Raises `NotFound`, `Forbidden`, `SurveyAlreadyAnswered`."""
        found = await self._uow.get(SurveyInvitation, id)
        await CaseService(self._uow).get(found.case_id, action="update", lock="update")
        row = await self._uow.get(SurveyInvitation, id, lock="update")
        if row.status == ANSWERED:
            raise SurveyAlreadyAnswered
        for link in await self._links.list(id):
            await self._links.revoke(id, link.id)
        return await self._uow.update(row, audit=AUDITED_AS, status=WITHDRAWN.value)

    # -- both ----------------------------------------------------------------------------------------------

    async def _held(self, id: UUID) -> SurveyInvitation | None:
        """An invitation, and its case before it, which everybody holds first."""
        found = await self._uow.find(SurveyInvitation, id)
        if found is None:
            return None
        await self._uow.find(Case, found.case_id, lock="update")
        return await self._uow.find(SurveyInvitation, id, lock="update")

    async def _held_of(self, survey_id: UUID, case_id: UUID) -> SurveyInvitation:
        rows = await self._uow.fetch(
            "SELECT * FROM after_sales.survey_invitations WHERE tenant_id = $1 AND survey_id = $2 AND case_id = $3"
            " FOR NO KEY UPDATE",
            self._uow.tenant_id,
            survey_id,
            case_id,
        )
        if not rows:
            raise NotFound
        return entities(SurveyInvitation, rows)[0]

    async def _send(self, row: SurveyInvitation, survey: Survey) -> tuple[SurveyInvitation, str]:
        """A link that can be answered; its path."""
        expires_at = self._uow.now + timedelta(days=survey.expires_days)
        _, made = await self._links.issue(row.id, expires_at=expires_at + _AFTERWARDS)
        row = await self._uow.update(
            row, audit=AUDITED_AS, status=SENT.value, sent_at=self._uow.now, expires_at=expires_at
        )
        self._uow.publish(SurveySent(id=row.id, survey_id=row.survey_id, case_id=row.case_id, kind=row.kind))
        return row, PAGE + made.token

    async def _address(self, row: SurveyInvitation) -> str | None:
        if row.contact_id is None:
            return None
        found = (await self._uow.of(Customers).get_contacts([row.contact_id])).get(row.contact_id)
        return found.email if found is not None else None

    async def _mail(self, case: Case, row: SurveyInvitation, to: str, path: str) -> None:
        survey = await SurveyService(self._uow).get(row.survey_id)
        company = self._uow.actor.tenant
        texts = TEXTS[company.language]
        said = {
            "company": company.name,
            "number": case.number,
            "subject": " ".join(case.subject.split()),
            "question": question_of(survey, company.language),
            "link": self._uow.kernel.settings.address_of(path),
        }
        mail = Message(
            to=to, subject=texts["subject"].format(**said)[:300], text=texts["mail"].format(**said)
        )
        post(self._uow, mail)


def question_of(survey: Survey, language: str) -> str:
    """What is asked in a language: the survey's own question, else that of its kind."""
    own = survey.question_zh if language == "zh" else survey.question_en
    return own or QUESTIONS[survey.kind][language]


def read_invitation(row: SurveyInvitation) -> SurveyInvitationRead:
    return SurveyInvitationRead.model_validate(
        {name: getattr(row, name) for name in SurveyInvitationRead.model_fields}
    )


def read_all(rows: Sequence[SurveyInvitation]) -> list[SurveyInvitationRead]:
    return [read_invitation(row) for row in rows]


async def _on_resolved(uow: UnitOfWork, event: ResolvedCase) -> None:
    await SurveySender(uow).after(event.id)


async def _send_due(context: JobContext, order: DueInvitation) -> None:
    async with context.transaction() as uow:
        await SurveySender(uow).send_due(order.id)


SUBSCRIPTION: Final = Subscription(
    "after_sales.case.resolved.v1", ResolvedCase, _on_resolved, "after_sales.surveys"
)
KIND: Final = JobKind(JOB, DueInvitation, _send_due)
