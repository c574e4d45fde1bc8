"""What came in by a form: page by page, and counted by day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.errors import Invalid
from app.kernel.forms.listing import page_of_submissions
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import GivenConsent
from app.modules.leads.models.capture import LeadForm, SubmissionStatus
from app.modules.leads.schemas.capture import (
    FormCounts,
    FormDay,
    FormStatistics,
    FormSubmissionRead,
    LeadConsentRead,
)

MAX_DAYS: Final = 366
DEFAULT_DAYS: Final = 30
_SHOWN: Final = (
    "id", "status", "reason", "lead_id", "language", "answers", "created_at", "expires_at", "confirmed_at",
)  # fmt: skip


async def submissions(
    uow: UnitOfWork, form_id: UUID, *, status: SubmissionStatus | None, limit: int, cursor: str | None
) -> Page[FormSubmissionRead]:
    """The newest first. Raises `NotFound`, `InvalidCursor`."""
    await uow.get(LeadForm, form_id)
    return await page_of_submissions(
        uow,
        "leads.form_submissions",
        _SHOWN,
        form_id,
        lambda row: _shown(uow, row),
        status=status.value if status else None,
        limit=limit,
        cursor=cursor,
    )


def _shown(uow: UnitOfWork, row: Any) -> FormSubmissionRead:
    """Answers are those of a lead: only who reads all leads reads them, without the fields hidden from them."""
    answers = row["answers"] or None
    if answers is not None:
        if uow.actor.scope("lead:read") is not Scope.ALL:
            answers = None
        else:
            hidden = uow.actor.hidden("lead")
            given = {**answers["lead"], **answers["touch"]}
            given |= {f"custom.{key}": value for key, value in answers["custom"].items()}
            given |= {f"consent.{consent['channel']}": True for consent in answers["consents"]}
            answers = {
                name: value
                for name, value in given.items()
                if name not in hidden and not ("custom" in hidden and name.startswith("custom."))
            }
    return FormSubmissionRead(**{**dict(row), "answers": answers})


async def statistics(
    uow: UnitOfWork, form_id: UUID, *, since: date | None, until: date | None
) -> FormStatistics:
    """Submissions per day of the company's time zone. Raises `NotFound`; `Invalid` for over a year."""
    await uow.get(LeadForm, form_id)
    until = until or uow.actor.tenant.day_of(uow.now)
    since = since or until - timedelta(days=DEFAULT_DAYS - 1)
    if not 0 <= (until - since).days < MAX_DAYS:
        raise Invalid.at("since", "range", f"A range of 1 to {MAX_DAYS} days, please.")
    rows = await uow.fetch(
        "SELECT (created_at AT TIME ZONE $3::text)::date AS day, status, count(*) AS number"
        " FROM leads.form_submissions WHERE tenant_id = $1 AND form_id = $2"
        " AND created_at >= $4::date::timestamp AT TIME ZONE $3::text"
        " AND created_at < ($5::date + 1)::timestamp AT TIME ZONE $3::text GROUP BY 1, 2 ORDER BY 1",
        uow.tenant_id,
        form_id,
        uow.actor.tenant.time_zone,
        since,
        until,
    )
    nothing = dict.fromkeys((status.value for status in SubmissionStatus), 0)
    days: dict[date, dict[str, int]] = {}
    total = dict(nothing)
    for row in rows:
        days.setdefault(row["day"], dict(nothing))[row["status"]] = row["number"]
        total[row["status"]] += row["number"]
    return FormStatistics(
        since=since,
        until=until,
        total=FormCounts(**total),
        days=[FormDay(day=day, **counts) for day, counts in days.items()],
    )


async def consents_of(uow: UnitOfWork, lead_id: UUID) -> list[LeadConsentRead]:
    """The consents of a lead that the caller has seen to be visible, the earliest first."""
    rows = await uow.fetch(
        "SELECT id, channel, text, text_version, language, source, given_at FROM leads.consents"
        " WHERE tenant_id = $1 AND lead_id = $2 ORDER BY given_at, id LIMIT 500",
        uow.tenant_id,
        lead_id,
    )
    return [LeadConsentRead(**dict(row)) for row in rows]


async def consents_given(uow: UnitOfWork, lead_id: UUID) -> list[GivenConsent]:
    """The latest consent of a lead for each channel, with the words that were agreed to."""
    rows = await uow.fetch(
        "SELECT DISTINCT ON (channel) channel, source, text, given_at FROM leads.consents"
        " WHERE tenant_id = $1 AND lead_id = $2 ORDER BY channel, given_at DESC, id DESC",
        uow.tenant_id,
        lead_id,
    )
    return [GivenConsent(row["channel"], row["source"], row["text"], row["given_at"]) for row in rows]
