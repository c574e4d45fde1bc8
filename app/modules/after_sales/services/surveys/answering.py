"""What customers answer, once per invitation, and what follows from an unhappy answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.links import Link, is_over
from app.kernel.notifications import Notice, Notifications
from app.kernel.record_links import LinkState, RecordLinks
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Activities, Subject
from app.modules.after_sales.interface import CaseEscalated, SurveyAnswered
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.models.surveys import Survey, SurveyInvitation
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.surveys.sending import ANSWERED, AUDITED_AS, PURPOSE, SENT
from app.modules.after_sales.services.surveys.texts import TEXTS
from app.tenants.interface import Members, Teams

ALERT: Final = "survey.alert"
CALL_BACK_WITHIN: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a form says, checked against the survey's scale."""

    score: int
    comment: str | None = None
    complaint: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands behind a link; `state` is open, answered, expired or withdrawn."""

    survey: Survey
    invitation: SurveyInvitation
    case: Case
    state: str


class SurveyAnswers:
    """Reading and taking answers, for whoever holds a link."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._links = RecordLinks(uow, purpose=PURPOSE, audit=AUDITED_AS)

    async def behind(self, link: Link, *, hold: bool = False, look: bool = False) -> Asked:
        """What a link leads to; `hold` keeps case and invitation, in this order, until the transaction ends.

        Raises `NotFound` for a link that never was, or whose case is gone.
        """
        row = await self._links.behind(link)
        invitation = await self._uow.get(SurveyInvitation, row.record_id)
        case = await self._uow.get(Case, invitation.case_id, lock="update" if hold else None)
        if hold:
            invitation = await self._uow.get(SurveyInvitation, row.record_id, lock="update")
        if look and self._links.state_of(row) is LinkState.OPEN:
            await self._links.seen(row)
        survey = await self._uow.get(Survey, invitation.survey_id)
        return Asked(survey, invitation, case, self._state(invitation, self._links.state_of(row)))

    def _state(self, invitation: SurveyInvitation, link: LinkState) -> str:
        if invitation.status == ANSWERED:
            return "answered"
        if invitation.status != SENT or link is LinkState.REVOKED:
            return "withdrawn"
        over = link is LinkState.EXPIRED or is_over(invitation.expires_at, self._uow.now)
        return "expired" if over else "open"

    async def take(self, link: Link, answer: Answer) -> Asked:
        """Take an answer, if it is the first and in time; how it stands then. Raises `NotFound`."""
        asked = await self.behind(link, hold=True)
        if asked.state != "open":
            return asked
        alerted = answer.complaint or answer.score <= asked.survey.alert_at
        row = await self._uow.update(
            asked.invitation,
            audit=AUDITED_AS,
            status=ANSWERED.value,
            answered_at=self._uow.now,
            score=answer.score,
            comment=answer.comment,
            complaint=answer.complaint,
            alerted=alerted,
        )
        self._uow.publish(
            SurveyAnswered(
                id=row.id,
                survey_id=row.survey_id,
                case_id=row.case_id,
                kind=row.kind,
                score=answer.score,
                complaint=answer.complaint,
                alerted=alerted,
            )
        )
        if alerted:
            await self._alert(asked, answer)
        return Asked(asked.survey, row, asked.case, "answered")

    # -- an unhappy customer -------------------------------------------------------------------------------

    async def _alert(self, asked: Asked, answer: Answer) -> None:
        """The case goes up to the manager, who is told and gets a to-do; the care plan's tasks are given out."""
        case, survey, uow = asked.case, asked.survey, self._uow
        manager = await self._manager(case)
        reason = "complaint" if answer.complaint else "detractor"
        level = case.escalation_level + 1
        await CaseService(uow).write(case, {"escalation_level": level}, action="escalated", reason=reason)
        uow.publish(CaseEscalated(id=case.id, reason=reason, level=level, to_member_id=manager))
        texts = TEXTS[uow.actor.tenant.language]
        said: dict[str, Any] = {"number": case.number, "kind": survey.kind.upper(), "score": answer.score}
        told = dict.fromkeys(id for id in (manager, case.owner_id) if id is not None)
        title = texts["notice_complaint" if answer.complaint else "notice"].format(**said)
        await Notifications(uow).tell(told, Notice(ALERT, title, answer.comment, "case", case.id))
        activities, about = uow.of(Activities), [Subject("case", case.id)]
        await activities.assign_task(
            about, texts["task"].format(**said), owner_id=manager, due_at=uow.now + CALL_BACK_WITHIN
        )
        for task in survey.care_plan:
            await activities.assign_task(
                about,
                task["subject"],
                owner_id=await self._active(case.owner_id) or manager,
                due_at=uow.now + timedelta(days=task["due_days"]),
            )

    async def _manager(self, case: Case) -> UUID | None:
        """Whom the owner reports to, else who leads the team, else an owner of the company; active ones only."""
        members = self._uow.of(Members)
        if case.owner_id is not None:
            owner = (await members.get_many([case.owner_id])).get(case.owner_id)
            found = await self._active(owner.manager_id if owner is not None else None)
            if found is not None:
                return found
        if case.team_id is not None:
            team = (await self._uow.of(Teams).get_many([case.team_id])).get(case.team_id)
            found = await self._active(team.manager_id if team is not None else None)
            if found is not None:
                return found
        owners = await members.in_role("owner")
        return owners[0].id if owners else None

    async def _active(self, id: UUID | None) -> UUID | None:
        if id is None:
            return None
        found = (await self._uow.of(Members).get_many([id])).get(id)
        return id if found is not None and found.active else None


def checked(fields: dict[str, str], scale: tuple[int, int]) -> tuple[Answer | None, dict[str, str]]:
    """What a form says, or what is wrong at which field: `score` or `comment`, by the key of its text."""
    findings: dict[str, str] = {}
    score = fields.get("score", "")
    least, most = scale
    chosen = int(score) if score.isascii() and score.isdigit() and len(score) <= 2 else -1
    if not least <= chosen <= most:
        findings["score"] = "choose"
    comment = fields.get("comment", "")
    if len(comment) > COMMENT_LENGTH:
        findings["comment"] = "too_long"
    if findings:
        return None, findings
    return Answer(chosen, comment or None, bool(fields.get("complaint"))), {}


COMMENT_LENGTH: Final = 2_000
