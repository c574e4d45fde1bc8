"""What stands in the diaries: meetings with customers and colleagues, visits past and to come, reports every week."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.demo.history import Window
from app.demo.records import DemoAccount, DemoActivity, DemoContact, DemoMember, DemoTeam, Language

_CUSTOMERS = 24
_DAYS_AHEAD = 21
_DAYS_BACK = 60
_MEETINGS = {
    "zh": ("产品演示", "报价讨论", "季度回顾"),
    "en": ("Product demo", "Going through the quote", "Quarterly review"),
}
_VISITS = {"zh": "拜访工厂", "en": "Plant visit"}
_TEAM = {"zh": "团队周会", "en": "Team meeting"}
_REPORT = {
    "zh": ("提交周报", "本周跟进、赢单与下周计划。"),
    "en": ("Weekly report", "Touches, wins, next week."),
}
_PLACES = {  # the middle of a town, near enough for a plan
    "上海": (31.2304, 121.4737),
    "深圳": (22.5431, 114.0579),
    "London": (51.5074, -0.1278),
    "Chicago": (41.8781, -87.6298),
}


class DiaryFactory:
    """Plans from `now` on, and visits of the last weeks; numbered after the activities made before."""

    def __init__(self, rng: random.Random, window: Window, staff: Sequence[DemoMember], made: int) -> None:
        self._rng = rng
        self._now = window.now
        self._zones = {one.email: ZoneInfo(one.time_zone) for one in staff}
        self._languages: dict[str, Language] = {one.email: one.language for one in staff}
        self._made = made
        self._found: list[DemoActivity] = []

    def all(
        self,
        accounts: Sequence[DemoAccount],
        people: Sequence[DemoContact],
        staff: Sequence[DemoMember],
        teams: Sequence[DemoTeam],
    ) -> tuple[DemoActivity, ...]:
        """Every entry: customers first, then teams, then everybody's own."""
        contacts: dict[str, list[DemoContact]] = {}
        for contact in people:
            contacts.setdefault(contact.account, []).append(contact)
        companies = [one for one in accounts if one.kind == "company" and one.external_id in contacts]
        chosen = self._rng.sample(companies, min(_CUSTOMERS, len(companies)))
        for number, account in enumerate(chosen):
            if number % 3 == 0:
                self._visit(account, ahead=number % 2 == 0)
            else:
                self._meeting(account, contacts[account.external_id][:2])
        anchors = {one.owner: one.external_id for one in reversed(accounts)}
        self._teams(teams, staff, anchors)
        for member in staff:
            if member.email in anchors:
                self._report(member, anchors[member.email])
        return tuple(self._found)

    def _meeting(self, account: DemoAccount, contacts: Sequence[DemoContact]) -> None:
        language = self._languages[account.owner]
        start = self._moment(account.owner, self._rng.randrange(1, _DAYS_AHEAD))
        self._add(
            "meeting",
            account.external_id,
            self._rng.choice(_MEETINGS[language]),
            account.owner,
            starts_at=start,
            ends_at=start + timedelta(hours=1),
            place="Online" if language == "en" else "线上",
            attendees=tuple(one.external_id for one in contacts),
            remind_minutes=15,
        )

    def _visit(self, account: DemoAccount, *, ahead: bool) -> None:
        days = self._rng.randrange(1, _DAYS_AHEAD) if ahead else -self._rng.randrange(1, _DAYS_BACK)
        start = max(self._moment(account.owner, days), account.created_at.replace(microsecond=0))
        position = _PLACES.get(account.city)
        self._add(
            "visit",
            account.external_id,
            _VISITS[self._languages[account.owner]],
            account.owner,
            starts_at=start,
            ends_at=start + timedelta(hours=2),
            place=account.address,
            latitude=position[0] if position else None,
            longitude=position[1] if position else None,
            done_at=None if ahead else min(start + timedelta(hours=2), self._now),
            remind_minutes=60 if ahead else None,
        )

    def _teams(self, teams: Sequence[DemoTeam], staff: Sequence[DemoMember], anchors: dict[str, str]) -> None:
        for team in teams:
            members = [
                one.email for one in staff if one.team == team.external_id and one.email != team.manager
            ]
            anchor = next((anchors[email] for email in members if email in anchors), None)
            if anchor is None:
                continue
            start = self._monday(team.manager, hour=9)
            self._add(
                "meeting",
                anchor,
                _TEAM[self._languages[team.manager]],
                team.manager,
                starts_at=start,
                ends_at=start + timedelta(minutes=45),
                time_zone=self._zones[team.manager].key,
                recurrence="FREQ=WEEKLY;BYDAY=MO",
                attendees=tuple(members),
            )

    def _report(self, member: DemoMember, anchor: str) -> None:
        subject, body = _REPORT[member.language]
        friday = self._monday(member.email, hour=16) + timedelta(days=4)
        self._add(
            "task",
            anchor,
            subject,
            member.email,
            body=body,
            due_at=friday,
            time_zone=member.time_zone,
            recurrence="FREQ=WEEKLY;BYDAY=FR",
            remind_minutes=120,
        )

    def _moment(self, email: str, days: int) -> datetime:
        """Some half hour of a working day, on that member's clock; never on a weekend."""
        zone = self._zones[email]
        day = (self._now + timedelta(days=days)).astimezone(zone)
        while day.weekday() > 4:
            day += timedelta(days=1 if days > 0 else -1)
        half_hours = self._rng.randrange(18, 33)
        return day.replace(hour=half_hours // 2, minute=half_hours % 2 * 30, second=0, microsecond=0)

    def _monday(self, email: str, *, hour: int) -> datetime:
        """The next Monday at that hour, on that member's clock."""
        local = self._now.astimezone(self._zones[email])
        monday = local + timedelta(days=7 - local.weekday())
        return monday.replace(hour=hour, minute=0, second=0, microsecond=0)

    def _add(self, kind: Any, about: str, subject: str, author: str, **more: Any) -> None:
        self._made += 1
        given: dict[str, Any] = {"body": "", "occurred_at": self._now} | more
        if more.get("done_at"):
            given["occurred_at"] = more["starts_at"]
        self._found.append(
            DemoActivity(
                external_id=f"T-{self._made:05d}",
                kind=kind,
                about="account",
                about_external_id=about,
                subject=subject,
                author=author,
                **given,
            )
        )
