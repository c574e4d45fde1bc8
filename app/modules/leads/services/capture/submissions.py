"""Submissions of strangers: whose form it is, whether it is spam, and what becomes of it.

Every answer is the same whatever is known of the visitor, so that nobody learns who is a lead here. A submission
commits in one transaction with its lead; the client's token makes it count once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from app.kernel.access import TenantProfile, system_actor
from app.kernel.errors import Forbidden, Invalid, NotFound
from app.kernel.ids import new_id
from app.kernel.links import is_over, new_link, open_company, read_link, tenant_of_key
from app.kernel.mail import Message, post
from app.kernel.secrets import SignatureInvalid
from app.kernel.uow import UnitOfWork, transaction
from app.modules.leads.interface import FormSubmitted
from app.modules.leads.models.capture import FormSubmission, LeadConsent, LeadForm, SubmissionStatus
from app.modules.leads.schemas.capture import SubmissionReceipt
from app.modules.leads.services.capture import limits
from app.modules.leads.services.capture.answers import MAX_TOKEN, Answers, read_answers, refuse_unknown
from app.modules.leads.services.capture.forms import origin_of
from app.modules.leads.services.capture.intake import Capture, Intake, Landed
from app.modules.leads.services.capture.texts import TEXTS

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

BODY_LIMIT: Final = 64 * 1024
CONFIRM_WITHIN: Final = timedelta(days=7)
_OPENED: Final = "form-opened"
_CONFIRMATION: Final = "leads.confirmation"
NOTHING: Final = "There is no such form."


class OriginNotAllowed(Forbidden):
    """The page that sent this lies on an origin that the form does not list."""

    code = "origin_not_allowed"
    title = "Pages of this origin may not use the form"


@dataclass(frozen=True, slots=True)
class Visit:
    """Who sends something, and how: `strict` refuses fields that the form does not have."""

    kernel: Kernel
    request_id: str
    ip: str
    language: str
    strict: bool = True


@dataclass(frozen=True, slots=True)
class OpenForm:
    """A form that takes submissions, and the company that it belongs to."""

    row: LeadForm
    visit: Visit
    company: TenantProfile

    def transaction(self) -> AbstractAsyncContextManager[UnitOfWork]:
        return _acting(self.visit, self.company)

    def for_visit(self, visit: Visit) -> OpenForm:
        """The same form, now that more is known of who sends something."""
        return replace(self, visit=visit)

    def allows(self, origin: str, host: str) -> bool:
        """Whether a page of this origin may send something: a listed one, or our own."""
        own = origin_of(self.visit.kernel.settings.public_url)
        return origin in (*self.row.allowed_origins, own) or (
            bool(host) and origin.partition("://")[2] == host
        )


def _acting(visit: Visit, company: TenantProfile) -> AbstractAsyncContextManager[UnitOfWork]:
    """A transaction of the company, for what a stranger sends."""
    return transaction(visit.kernel, system_actor(company, "Web form"), request_id=visit.request_id)


async def open_form(visit: Visit, key: str) -> OpenForm:
    """The form with this public key. Raises `NotFound`, alike for unknown, closed and suspended ones."""
    try:
        company = await open_company(visit.kernel, tenant_of_key(key))
    except NotFound:
        raise NotFound(NOTHING) from None
    async with _acting(visit, company) as uow:
        row = await uow.first(uow.select(LeadForm).where(LeadForm.public_key == key, LeadForm.enabled))
    if row is None:
        raise NotFound(NOTHING)
    return OpenForm(row, visit, company)


def stamp(kernel: Kernel) -> str:
    """When a page was shown, signed: it comes back with what was filled in."""
    return kernel.secrets.sign(kernel.clock.now().isoformat().encode(), purpose=_OPENED)


async def submit(form: OpenForm, sent: Mapping[str, Any], *, key: str | None = None) -> SubmissionReceipt:
    """Take a submission; `key` stands for a token where the body has none.

    Raises: TooManyRequests with `Retry-After`; Invalid for answers that do not fit the form.
    """
    row = form.row
    async with form.transaction() as uow:
        allowances = limits.for_submission(
            row.id, form.visit.ip, per_address=row.limit_per_address, per_form=row.limit_per_form
        )
        refusal = await limits.COUNTERS.count(uow, allowances, uow.now, tenant=uow.tenant_id)
    if refusal is not None:
        raise refusal
    if form.visit.strict:
        refuse_unknown(row, sent)
    token = _token(sent, key)
    async with form.transaction() as uow:
        await _take(uow, form, sent, token)
    return receipt(form)


def receipt(form: OpenForm) -> SubmissionReceipt:
    """What everybody is answered."""
    row, language = form.row, form.visit.language
    name = "check_mail" if row.double_opt_in else "thanks"
    own = (row.thanks_zh if language == "zh" else None) or row.thanks_en
    message = own if own and not row.double_opt_in else TEXTS[language][name]
    return SubmissionReceipt(status="received", message=message, redirect_url=row.redirect_url)


def _token(sent: Mapping[str, Any], key: str | None) -> str | None:
    token = sent.get("token") or key
    if token is None:
        return None
    if not isinstance(token, str) or not 1 <= len(token) <= MAX_TOKEN:
        raise Invalid.at("/token", "string_length", f"A token has 1 to {MAX_TOKEN} characters.")
    return token


async def _take(uow: UnitOfWork, form: OpenForm, sent: Mapping[str, Any], token: str | None) -> None:
    row = form.row
    spam = _spam(uow, row, sent)
    answers = None if spam else await read_answers(uow, row, sent, form.visit.language)
    id = new_id()
    made = await uow.fetchrow(
        "INSERT INTO leads.form_submissions (tenant_id, id, form_id, status, token, answers, language, created_at)"
        " SELECT $1, $2, f.id, 'pending', $4, $5, $6, $7 FROM leads.forms f WHERE f.tenant_id = $1 AND f.id = $3"
        " ON CONFLICT (tenant_id, form_id, token) DO NOTHING RETURNING id",
        uow.tenant_id,
        id,
        row.id,
        token,
        answers.stored() if answers else {},
        form.visit.language,
        uow.now,
    )
    if made is None:  # the same submission came before
        return
    if answers is None:
        await _settle(uow, id, Landed(SubmissionStatus.SPAM, reason=spam))
    elif row.double_opt_in:
        await _ask_to_confirm(uow, form, id, answers)
    else:
        await _land(uow, row, id, answers, uow.now)


def _spam(uow: UnitOfWork, form: LeadForm, sent: Mapping[str, Any]) -> str | None:
    """Why this was sent by a machine, or None. People see no honeypot, and need a moment to write."""
    if sent.get(form.honeypot) not in (None, ""):
        return "honeypot"
    if form.min_seconds == 0:
        return None
    taken = _seconds_taken(uow, sent)
    return None if taken is not None and taken >= form.min_seconds else "too_quick"


def _seconds_taken(uow: UnitOfWork, sent: Mapping[str, Any]) -> float | None:
    """How long somebody took: by our own stamp, else as the page says; None where nobody does."""
    if "opened" in sent:
        try:
            opened = uow.kernel.secrets.unsign(str(sent["opened"]), purpose=_OPENED)
            return (uow.now - datetime.fromisoformat(opened.decode())).total_seconds()
        except (SignatureInvalid, ValueError):
            return None
    try:
        return float(sent["seconds"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


async def _ask_to_confirm(uow: UnitOfWork, form: OpenForm, id: UUID, answers: Answers) -> None:
    """Mail a link to the address. Nothing that the visitor wrote is in the mail: it could be anything."""
    allowances = limits.for_mail(answers.lead["email"])
    if await limits.COUNTERS.count(uow, allowances, uow.now, tenant=uow.tenant_id) is not None:
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
    texts, row = TEXTS[form.visit.language], form.row
    name = (row.name_zh if form.visit.language == "zh" else None) or row.name_en
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
    async with _acting(visit, company) as uow:
        statement = uow.select(FormSubmission).where(FormSubmission.confirmation_hash == link.hash)
        found = await uow.first(statement.with_for_update())
        if found is None:
            raise NotFound
        yield uow, found


async def _confirmation(uow: UnitOfWork, found: FormSubmission) -> Confirmation:
    form = await uow.get(LeadForm, found.form_id)
    thanks = (form.thanks_zh if found.language == "zh" else None) or form.thanks_en
    key = form.public_key if form.enabled else None
    if found.confirmed_at is not None:
        state = "done"
    else:
        expired = found.expires_at is None or is_over(found.expires_at, uow.now)
        state = "expired" if expired or found.status != SubmissionStatus.PENDING else "open"
    return Confirmation(state, found.language, key, uow.actor.tenant, thanks)
