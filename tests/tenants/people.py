"""What tests about people need: a look into the database, mails, and colleagues."""

from __future__ import annotations

import itertools
import re
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from app.main import Application
from tests.support.api import PASSWORD, Client, Company, stranger

_numbers = itertools.count(1)
_addresses = itertools.count(1)


def stranger_from(app: Application, ip: str | None = None) -> Client:
    """A client without credentials from an address of its own, so that its failures count for nobody else."""
    client = stranger(app)
    number = next(_addresses)
    client.http._transport.client = (ip or f"198.51.{number // 250}.{number % 250 + 1}", 1)  # type: ignore[attr-defined]
    return client


def unique_email(name: str = "someone") -> str:
    return f"{name}{next(_numbers)}.{id(_numbers)}@example.com"


class Look:
    """Reads and turns the database as its superuser, past every policy."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection

    async def value(self, sql: str, *arguments: Any) -> Any:
        return await self.connection.fetchval(sql, *arguments)

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self.connection.fetch(sql, *arguments)

    async def run(self, sql: str, *arguments: Any) -> None:
        await self.connection.execute(sql, *arguments)

    async def mails(self, to: str) -> list[dict[str, Any]]:
        """Mails queued for an address, oldest first."""
        rows = await self.rows(
            "SELECT payload FROM kernel.jobs WHERE name = 'mail.send' AND payload->>'to' = $1"
            " ORDER BY created_at, id",
            to,
        )
        return [orjson.loads(row["payload"]) for row in rows]

    async def mailed_token(self, to: str) -> str:
        """The token in the last mail to an address."""
        found = re.search(r"#token=(\S+)", (await self.mails(to))[-1]["text"])
        assert found is not None
        return found[1]

    async def audit(self, tenant_id: UUID | str, action: str) -> list[dict[str, Any]]:
        rows = await self.rows(
            "SELECT * FROM kernel.audit_entries WHERE tenant_id = $1 AND action = $2 ORDER BY at, id",
            UUID(str(tenant_id)),
            action,
        )
        return [dict(row) | {"changes": orjson.loads(row["changes"])} for row in rows]


async def role_id(company: Company, key: str) -> str:
    """The id of a role by its key."""
    roles = await company.owner.ok("GET", "/v1/roles")
    return str(next(role["id"] for role in roles["data"] if role["key"] == key))


async def colleague(company: Company, look: Look, role: str = "salesperson", **invitation: Any) -> Client:
    """Somebody new who was invited to a company, joined, and is signed in."""
    email = unique_email(role)
    body = {
        "email": email,
        "name": f"Casey {role.title()}",
        "role_ids": [await role_id(company, role)],
    } | invitation
    await company.owner.ok("POST", "/v1/invitations", json=body)
    answer = await stranger_from(company.app).ok(
        "POST", "/v1/invitations/accept", json={"token": await look.mailed_token(email), "password": PASSWORD}
    )
    return Client(company.http, token=answer["access_token"], facts=answer | {"email": email})


def code_of(answer: Any) -> tuple[int, str]:
    """Status and problem code."""
    return answer.status_code, answer.json()["code"]
