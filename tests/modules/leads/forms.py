"""What the tests of forms share: making one, and sending to it as a stranger would."""

from __future__ import annotations

from typing import Any

import httpx

from tests.modules.support import acting
from tests.support.api import Client, Company

SHOP = "https://shop.example.com"


def label(text: str) -> dict[str, str]:
    return {"en": text}


async def make_form(owner: Client, **changes: Any) -> dict[str, Any]:
    """A form for name, e-mail, telephone and a message, without a least time."""
    body = {
        "name": {"en": "Contact us", "zh": "联系我们"},
        "fields": [
            {"name": "name", "label": {"en": "Your name", "zh": "您的姓名"}, "required": True},
            {"name": "email", "label": {"en": "E-mail", "zh": "邮箱"}, "required": True},
            {"name": "phone", "label": label("Phone")},
            {"name": "description", "label": label("Message")},
        ],
        "allowed_origins": [SHOP],
        "min_seconds": 0,
        "limit_per_address": 10_000,
    }
    made: dict[str, Any] = await owner.ok("POST", "/v1/forms", json=body | changes)
    return made


async def send(
    company: Company, form: dict[str, Any], *, headers: dict[str, str] | None = None, **sent: Any
) -> httpx.Response:
    """A submission by nobody in particular."""
    nobody = Client(company.http)
    body = {"name": "Ann Lee", "email": "ann@lee.example.com"} | sent
    return await nobody.post(f"/v1/forms/{form['public_key']}/submissions", body, headers=headers)


async def outcomes(owner: Client, form: dict[str, Any]) -> list[tuple[str, str | None]]:
    """What became of all that was sent, the latest first."""
    found = await owner.ok("GET", f"/v1/forms/{form['id']}/submissions")
    return [(one["status"], one["reason"]) for one in found["data"]]


async def leads(owner: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await owner.ok("GET", "/v1/leads?sort=created_at"))["data"]
    return found


async def rows(company: Company, table: str) -> int:
    """Rows of the company in a table without soft delete."""
    async with acting(company) as uow:
        row = await uow.fetchrow(f"SELECT count(*) FROM {table} WHERE tenant_id = $1", uow.tenant_id)
        assert row is not None
        return int(row[0])
