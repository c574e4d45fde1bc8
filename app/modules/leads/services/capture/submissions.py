"""What becomes of what strangers send by forms of leads: a lead or a touch, once the address is confirmed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.access import TenantProfile
from app.kernel.errors import NotFound
from app.kernel.forms.kinds import name_of, thanks_of
from app.kernel.forms.visits import OpenForm, Visit, acting, may_mail, noted, spam
from app.kernel.ids import new_id
from app.kernel.links import is_over, new_link, open_company, read_link
from app.kernel.mail import Message, post
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import FormSubmitted
from app.modules.leads.models.capture import FormSubmission, LeadConsent, LeadForm, SubmissionStatus
from app.modules.leads.services.capture.answers import Answers, read_answers
from app.modules.leads.services.capture.intake import Capture, Intake, Landed
from app.modules.leads.services.capture.texts import TEXTS

CONFIRM_WITHIN: Final = timedelta(days=7)
_CONFIRMATION: Final = "leads.confirmation"
_TABLES: Final = ("leads.forms", "leads.form_submissions")


async def take(uow: UnitOfWork, form: OpenForm[LeadForm], sent: Mapping[str, Any], token: str | None) -> None:
    """Make a lead of what a visitor sent, or touch the open one; spam is noted and nothing more."""
    row = form.row
    reason = spam(uow, form, sent)
    answers = None if reason else await read_answers(uow, row, sent, form.visit.language)
    id, stored = new_id(), answers.stored() if answers else {}
    if not await noted(uow, _TABLES, form, id=id, status="pending", token=token, answers=stored):
        return
    if answers is None:
        await _settle(uow, id, Landed(SubmissionStatus.SPAM, reason=reason))
    elif row.double_opt_in:
        await _ask_to_confirm(uow, form, id, answers)
    else:
        await _land(uow, row, id, answers, uow.now)


async def _ask_to_confirm(uow: UnitOfWork, form: OpenForm[LeadForm], id: UUID, answers: Answers) -> None:
    """Mail a link to the address. Nothing that the visitor wrote is in the mail: it could be anything."""
    if not await may_mail(uow, form.kind, answers.lead["email"]):
        await _settle(uow, id, Landed(SubmissionStatus.REFUSED, reason="too_many_mails"))
        return
    made = new_link(uow.kernel, uow.tenant_id, _CONFIRMATION)
    await uow.fetch(
        "UPDATE leads.form_submissions SET confirmation_hash = $3, expires_at = $4 WHERE tenant_id = $1 AND id = $2",
        uow.tenant_id,
        id,
        made.hash,
        uow.now + CONFIRM_WITHIN,
    )
    texts, name = TEXTS[form.visit.language], name_of(form.row, form.visit.language)
    link = uow.kernel.settings.address_of(f"/forms/confirmations/{made.token}")
    text = texts["mail_text"].format(
        form=" ".join(name.split()), company=" ".join(form.company.name.split()), link=link
    )
    post(uow, Message(to=answers.lead["email"], subject=texts["mail_subject"], text=text))


async def _land(uow: UnitOfWork, form: LeadForm, id: UUID, answers: Answers, given_at: datetime) -> Landed:
    """The lead or the touch, with the consents, and what became of it on the submission."""
    capture = Capture(
        answers.lead, answers.custom, answers.touch, answers.first_touch, form.owner_id, form.team_id
    )
    landed = await Intake(uow).land(capture, touch_open=form.touch_open_leads)
    await _settle(uow, id, landed)
    if landed.lead_id is not None:
        await uow.insert_many(
            LeadConsent,
            [
                {**consent, "lead_id": landed.lead_id, "source": f"form:{form.id}", "given_at": given_at}
                for consent in answers.consents
            ],
        )
        uow.publish(
            FormSubmitted(id=form.id, submission_id=id, lead_id=landed.lead_id, outcome=landed.status.value)
        )
    return landed


async def _settle(uow: UnitOfWork, id: UUID, landed: Landed) -> None:
    await uow.fetch(
        "UPDATE leads.form_submissions SET status = $3, reason = $4, lead_id = $5,"
        " confirmed_at = CASE WHEN confirmation_hash IS NOT NULL THEN $6::timestamptz END"
        " WHERE tenant_id = $1 AND id = $2",
        uow.tenant_id,
        id,
        landed.status.value,
        landed.reason,
        landed.lead_id,
        uow.now,
    )


# -- confirming ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Where a mailed link stands: `open`, `done` or `expired`; the form's key leads back, if it is still there."""

    state: str
    language: str
    form_key: str | None
    company: TenantProfile
    thanks: str | None = None


async def look_at(visit: Visit, token: str) -> Confirmation:
    """What a mailed link stands for, without using it. Raises `NotFound`."""
    async with _submission_of(visit, token) as (uow, found):
        return await _confirmation(uow, found)


async def confirm(visit: Visit, token: str) -> Confirmation:
    """Confirm the address: the lead is made now, once; again it answers the same. Raises `NotFound`."""
    async with _submission_of(visit, token) as (uow, found):
        standing = await _confirmation(uow, found)
        if standing.state != "open":
            return standing
        form = await uow.get(LeadForm, found.form_id)
        await _land(uow, form, found.id, Answers.restored(found.answers), found.created_at)
        return replace(standing, state="done")


@asynccontextmanager
async def _submission_of(visit: Visit, token: str) -> AsyncIterator[tuple[UnitOfWork, FormSubmission]]:
    """The submission behind a link, locked: of two at once the second sees what the first did."""
    link = read_link(visit.kernel, token, _CONFIRMATION)
    company = await open_company(visit.kernel, link.tenant_id)
    async with acting(visit, company) as uow:
        statement = uow.select(FormSubmission).where(FormSubmission.confirmation_hash == link.hash)
        found = await uow.first(statement.with_for_update())
        if found is None:
            raise NotFound
        yield uow, found


async def _confirmation(uow: UnitOfWork, found: FormSubmission) -> Confirmation:
    form = await uow.get(LeadForm, found.form_id)
    thanks = thanks_of(form, found.language)
    key = form.public_key if form.enabled else None
    if found.confirmed_at is not None:
        state = "done"
    else:
        expired = found.expires_at is None or is_over(found.expires_at, uow.now)
        state = "expired" if expired or found.status != SubmissionStatus.PENDING else "open"
    return Confirmation(state, found.language, key, uow.actor.tenant, thanks)
