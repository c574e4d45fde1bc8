"""What becomes of what strangers send by a form of cases: a case of the contact with that address or number.

Whoever sends something learns nothing of who is known here. What is mailed goes to the contact's own address where
one was found, and holds nothing that a stranger wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from app.kernel.contact import to_e164
from app.kernel.errors import Conflict, FieldError, Invalid
from app.kernel.forms.answers import custom_in, given_in, refuse
from app.kernel.forms.kinds import CUSTOM, Field, text_of
from app.kernel.forms.visits import OpenForm, noted, spam
from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import CaseChannel, CasePriority, NewCase
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.models.forms import CaseForm, CaseSubmissionStatus
from app.modules.after_sales.schemas.forms import CaseAnswers
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.mail.receipts import acknowledge
from app.modules.customers.interface import Customers
from app.tenants.interface import Members

_TABLES: Final = ("after_sales.case_forms", "after_sales.case_form_submissions")
_TOLD: Final = ("name", "company", "phone", "order_number", "serial_number")
"""What a case has no place for; whoever works on it reads it below the description."""
_MOST: Final = 200


async def take(uow: UnitOfWork, form: OpenForm[CaseForm], sent: Mapping[str, Any], token: str | None) -> None:
    """Open a case by what a visitor sent; spam is noted and nothing more. Raises `Invalid`, at `/<field>`."""
    reason = spam(uow, form, sent)
    answers, custom = (None, {}) if reason else await _read(uow, form, sent)
    id = new_id()
    stored: dict[str, Any] = {}
    if answers is not None:
        stored = answers.model_dump(mode="json", exclude_none=True) | {
            f"{CUSTOM}{key}": value for key, value in custom.items()
        }
    created = CaseSubmissionStatus.CREATED.value
    if not await noted(uow, _TABLES, form, id=id, status=created, token=token, answers=stored):
        return
    if answers is None:
        await _settle(uow, id, CaseSubmissionStatus.SPAM, reason=reason)
        return
    given = await _case(uow, form, answers)
    try:
        async with uow.savepoint():
            case = await CaseService(uow).open_for_others(given | {"custom": custom})
    except (Conflict, Invalid) as refusal:  # the company's own rules, of which a stranger learns nothing
        await _settle(uow, id, CaseSubmissionStatus.REFUSED, reason=refusal.code)
        return
    await _settle(uow, id, CaseSubmissionStatus.CREATED, case=case)
    if form.row.acknowledge:
        await acknowledge(uow, form.kind, case, form.visit.language)


async def _read(
    uow: UnitOfWork, form: OpenForm[CaseForm], sent: Mapping[str, Any]
) -> tuple[CaseAnswers, dict[str, Any]]:
    """Raises `Invalid` with all that is wrong."""
    errors: list[FieldError] = []
    given = given_in(form.fields, sent, errors)
    custom = await custom_in(uow, form.kind.object, given, errors)
    own = {name: value for name, value in given.items() if not name.startswith(CUSTOM)}
    answers = CaseAnswers()
    try:
        answers = CaseAnswers.model_validate(own)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        errors += [FieldError(f"/{one['loc'][0]}", str(one["type"]), str(one["msg"])) for one in found]
    if not errors:
        for names in (("subject", "description"), ("email", "phone")):
            if not any(name in own for name in names):
                first = next(found["name"] for found in form.fields if found["name"] in names)
                errors.append(FieldError(f"/{first}", "required", "Please fill this in."))
    refuse(errors)
    return answers, custom


async def _case(uow: UnitOfWork, form: OpenForm[CaseForm], answers: CaseAnswers) -> dict[str, Any]:
    """What the case is opened with."""
    row = form.row
    new = NewCase(
        subject=answers.subject or (answers.description or "").split("\n")[0].strip()[:_MOST],
        description=_described(form.fields, answers, form.visit.language),
        channel=CaseChannel.WEB,
        type=answers.type or row.type,
        priority=CasePriority(row.priority),
        severity=answers.severity.value if answers.severity else None,
        contact_id=await _contact(uow, answers),
        product_id=answers.product_id,
        queue_id=row.queue_id,
        owner_id=None if row.queue_id is not None else await _active(uow, row.owner_id),
        email=answers.email,
        language=form.visit.language,
    )
    return asdict(new) | {"channel": new.channel.value, "priority": new.priority.value, "tags": []}


def _described(fields: Sequence[Field], answers: CaseAnswers, language: str) -> str | None:
    """The description, and below it what a case has no place for, by the words of the form."""
    labels = {found["name"]: text_of(found["label"], language) for found in fields}
    told = [(labels[name], getattr(answers, name)) for name in _TOLD if name in labels]
    lines = [f"{label}: {value}" for label, value in told if value]
    parts = [answers.description or "", "\n".join(lines)]
    return "\n\n".join(part for part in parts if part) or None


async def _contact(uow: UnitOfWork, answers: CaseAnswers) -> UUID | None:
    """Whose address it is, else whose number; None where that is nobody, or could be several."""
    customers = uow.of(Customers)
    if answers.email:
        found = await customers.contacts_by_email([answers.email])
        if found:
            return next(iter(found.values()))
    e164 = to_e164(answers.phone, uow.actor.tenant.country) if answers.phone else None
    if e164 is None:
        return None
    called = [match.id for match in await customers.by_phone(e164) if match.object == "contact"]
    return called[0] if len(called) == 1 else None


async def _active(uow: UnitOfWork, id: UUID | None) -> UUID | None:
    """The form's owner while they work here; a visitor is not refused because somebody left."""
    if id is None:
        return None
    found = (await uow.of(Members).get_many([id])).get(id)
    return id if found is not None and found.active else None


async def _settle(
    uow: UnitOfWork,
    id: UUID,
    status: CaseSubmissionStatus,
    *,
    reason: str | None = None,
    case: Case | None = None,
) -> None:
    await uow.fetch(
        "UPDATE after_sales.case_form_submissions SET status = $3, reason = $4, case_id = $5"
        " WHERE tenant_id = $1 AND id = $2",
        uow.tenant_id,
        id,
        status.value,
        reason,
        case.id if case else None,
    )
