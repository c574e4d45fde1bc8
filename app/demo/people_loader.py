"""Teams and people of the demo company: everybody joins by an invitation, as people do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from app.demo.client import Api, ApiFailure
from app.demo.records import DemoCompany
from app.demo.state import DemoState

_TOKEN: Final = re.compile(r"accept-invitation#token=(\S+)")
_MAIL_SECONDS: Final = 60.0


class PeopleLoader:
    """One load of teams and members, as the owner who is signed in; who is there is left as they are."""

    def __init__(
        self,
        public: Api,
        session: Api,
        state: DemoState,
        company: DemoCompany,
        show: Callable[[str, int, int], None],
    ) -> None:
        self._public = public
        self._session = session
        self._state = state
        self._company = company
        self._show = show

    async def teams(self) -> None:
        """The tree; the company's first team, made with it, becomes the root."""
        there = (await self._session.get("/v1/teams"))["data"]
        by_name = {team["name"]: team["id"] for team in there}
        ids: dict[str, str] = {}
        for team in self._company.teams:
            if team.name in by_name:
                ids[team.external_id] = by_name[team.name]
            elif team.parent is None and len(there) == 1:
                first = there[0]
                await _patch(self._session, f"/v1/teams/{first['id']}", first["version"], {"name": team.name})
                ids[team.external_id] = first["id"]
            else:
                parent = ids[team.parent] if team.parent else None
                made = await self._session.post("/v1/teams", {"name": team.name, "parent_id": parent})
                ids[team.external_id] = made["id"]
        self._state.note(teams=ids)

    async def members(self) -> None:
        """Everybody joins by the link of an invitation mail, which a development server shows."""
        wanted = self._company.members[1:]
        present = {one["email"] async for one in self._session.pages("/v1/members")}
        roles = {role["key"]: role["id"] for role in (await self._session.get("/v1/roles"))["data"]}
        invited = {
            one["email"]: one async for one in self._session.pages("/v1/invitations", status="pending")
        }
        missing = [member for member in wanted if member.email not in present]
        for member in missing:
            if member.email not in invited:
                await self._session.post(
                    "/v1/invitations",
                    {
                        "email": member.email,
                        "name": member.name,
                        "role_ids": [roles[member.role]],
                        "team_ids": [self._state.team(member.team)],
                    },
                )
        tokens = await self._mailed_tokens({member.email for member in missing})
        done = len(wanted) - len(missing)
        for member in missing:
            form = {"token": tokens[member.email], "password": self._state.password, "name": member.name}
            await self._public.post("/v1/invitations/accept", form)
            done += 1
            self._show("members", done, len(wanted))
        await self._managers()

    async def _mailed_tokens(self, emails: set[str]) -> dict[str, str]:
        """The tokens of the latest invitation mails, once the worker has sent them all."""
        found: dict[str, str] = {}
        deadline = asyncio.get_running_loop().time() + _MAIL_SECONDS
        while emails - found.keys():
            mails = (await self._public.get("/dev/mail.json"))["data"]
            for mail in reversed(mails):  # oldest first, so that the latest wins
                match = _TOKEN.search(mail["text"])
                address = mail["to"].rpartition("<")[2].rstrip(">")
                if match and address in emails:
                    found[address] = match[1]
            if asyncio.get_running_loop().time() > deadline:
                detail = f"the invitation mails to {sorted(emails - found.keys())} have not been sent"
                raise ApiFailure("GET", "/dev/mail.json", 504, {"detail": f"{detail}; does the worker run?"})
            if emails - found.keys():
                await asyncio.sleep(0.1)
        return found

    async def _managers(self) -> None:
        """Managers of teams, and whom each person reports to."""
        members = {one["email"]: one async for one in self._session.pages("/v1/members")}
        teams = {team["id"]: team for team in (await self._session.get("/v1/teams"))["data"]}
        heads = {team.external_id: team.manager for team in self._company.teams}
        for key, email in heads.items():
            team = teams[self._state.team(key)]
            if team["manager_id"] != members[email]["id"]:
                body = {"manager_id": members[email]["id"]}
                await _patch(self._session, f"/v1/teams/{team['id']}", team["version"], body)
        owner = self._company.members[0].email
        for member in self._company.members[1:]:
            head = owner if member.role == "manager" else heads[member.team]
            one = members[member.email]
            if one["manager_id"] != members[head]["id"]:
                body = {"manager_id": members[head]["id"]}
                await _patch(self._session, f"/v1/members/{one['id']}", one["version"], body)


async def _patch(api: Api, path: str, version: int, body: Mapping[str, Any]) -> None:
    await api.send("PATCH", path, json=dict(body), headers={"If-Match": f'"{version}"'})
