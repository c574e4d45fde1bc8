"""Notes, tasks and calls: the first response to a lead, the work on it, and the care of accounts."""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from app.demo import texts, words
from app.demo.chance import later, weighted
from app.demo.history import Window
from app.demo.records import DemoAccount, DemoActivity, DemoLead, DemoOpportunity, Language

_KINDS: dict[Literal["note", "task", "call"], float] = {"note": 4, "task": 3, "call": 3}
_CALL_OUTCOMES = {"connected": 55, "no_answer": 25, "voicemail": 10, "call_back": 10}
_DONE_IN_TIME = 0.85
_PER_ACCOUNT = (1, 2, 2, 3)


class ActivityFactory:
    """Writes the timelines. Nothing but a task's due date lies after `now`."""

    def __init__(self, rng: random.Random, window: Window) -> None:
        self._rng = rng
        self._window = window
        self._made: list[DemoActivity] = []

    def all(
        self,
        accounts: Sequence[DemoAccount],
        leads: Iterable[DemoLead],
        opportunities: Iterable[DemoOpportunity],
    ) -> tuple[DemoActivity, ...]:
        """Every activity, numbered as made: leads first, then accounts."""
        for lead in leads:
            self._on_lead(lead)
        deals: dict[str, list[DemoOpportunity]] = {}
        for opportunity in opportunities:
            deals.setdefault(opportunity.account, []).append(opportunity)
        for account in accounts:
            self._on_account(account, deals.get(account.external_id, []))
        return tuple(self._made)

    def _on_lead(self, lead: DemoLead) -> None:
        steps = lead.timeline
        if not steps.first_response_at:
            return
        end = steps.converted_at or steps.disqualified_at or self._window.now
        language: Language = "zh" if lead.country == "CN" else "en"
        author = lead.owner or ""
        by_phone = lead.source in ("cold_call", "referral", "partner") or self._rng.random() < 0.4
        write = self._call if by_phone else self._note
        write("lead", lead.external_id, language, author, steps.first_response_at)
        moments = sorted(
            self._window.between(self._rng, steps.first_response_at, end)
            for _ in range(self._rng.choice((0, 1, 1, 2)))
        )
        for moment in moments:
            self._any("lead", lead.external_id, language, author, moment)

    def _on_account(self, account: DemoAccount, deals: Sequence[DemoOpportunity]) -> None:
        rng = self._rng
        language: Language = "zh" if account.country == "CN" else "en"
        moments = [
            self._window.between(rng, max(account.created_at, self._window.start))
            for _ in range(rng.choice(_PER_ACCOUNT))
        ]
        moments += [
            self._window.between(rng, deal.created_at, deal.closed_at or self._window.now)
            for deal in deals
            for _ in range(2)
        ]
        for moment in sorted(moments):
            self._any("account", account.external_id, language, account.owner, moment)

    def _any(
        self,
        about: Literal["account", "lead"],
        about_id: str,
        language: Language,
        author: str,
        moment: datetime,
    ) -> None:
        kind = weighted(self._rng, _KINDS)
        write = {"note": self._note, "task": self._task, "call": self._call}[kind]
        write(about, about_id, language, author, moment)

    def _product(self, language: Language) -> str:
        return self._rng.choice(words.PRODUCTS)[0 if language == "zh" else 1]

    def _note(
        self,
        about: Literal["account", "lead"],
        about_id: str,
        language: Language,
        author: str,
        moment: datetime,
    ) -> None:
        body = self._rng.choice(texts.NOTES[language]).format(product=self._product(language))
        self._made.append(
            DemoActivity(
                external_id=self._next_id(),
                kind="note",
                about=about,
                about_external_id=about_id,
                subject="跟进记录" if language == "zh" else "Follow-up note",
                body=body,
                author=author,
                occurred_at=moment,
            )
        )

    def _task(
        self,
        about: Literal["account", "lead"],
        about_id: str,
        language: Language,
        author: str,
        moment: datetime,
    ) -> None:
        rng = self._rng
        subject, body = rng.choice(texts.TASKS[language])
        done = later(rng, moment, median_hours=60)
        finished = done <= self._window.now and rng.random() < _DONE_IN_TIME
        self._made.append(
            DemoActivity(
                external_id=self._next_id(),
                kind="task",
                about=about,
                about_external_id=about_id,
                subject=subject,
                body=body.format(product=self._product(language)),
                author=author,
                occurred_at=moment,
                due_at=moment + timedelta(days=rng.choice((1, 2, 3, 5, 7, 14))),
                done_at=done if finished else None,
            )
        )

    def _call(
        self,
        about: Literal["account", "lead"],
        about_id: str,
        language: Language,
        author: str,
        moment: datetime,
    ) -> None:
        rng = self._rng
        outcome = weighted(rng, _CALL_OUTCOMES)
        subject, body = texts.CALLS[language][outcome]
        self._made.append(
            DemoActivity(
                external_id=self._next_id(),
                kind="call",
                about=about,
                about_external_id=about_id,
                subject=subject,
                body=body.format(product=self._product(language)),
                author=author,
                occurred_at=moment,
                direction="outbound" if rng.random() < 0.8 else "inbound",
                outcome=outcome,
                duration_seconds=rng.randrange(60, 1500) if outcome == "connected" else rng.randrange(5, 45),
            )
        )

    def _next_id(self) -> str:
        return f"T-{len(self._made) + 1:05d}"
