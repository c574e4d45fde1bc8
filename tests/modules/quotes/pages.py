"""What the tests of the public page share: links, forms as a browser sends them, and clients without a company."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx

from app.main import Application
from tests.modules.support import acting
from tests.support.api import Client, Company
from tests.tenants.people import stranger_from

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def link_of(client: Client, quote: dict[str, Any], **body: Any) -> str:
    """A new link to a quote: its path."""
    made = await client.ok("POST", f"/v1/quotes/{quote['id']}/links", json=body)
    url: str = made["url"]
    return "/q/" + url.rpartition("/")[2]


async def rows_in(company: Company, table: str) -> int:
    """How many rows the company has in a table that knows no soft delete."""
    async with acting(company) as uow:
        row = await uow.fetchrow(f"SELECT count(*) FROM {table} WHERE tenant_id = $1", uow.tenant_id)
    assert row is not None
    return int(row[0])


class Customer:
    """Somebody with a link and a browser."""

    def __init__(self, app: Application, path: str) -> None:
        self.client = stranger_from(app)
        self.path = path
        self.page: httpx.Response | None = None

    async def look(self, query: str = "", **headers: str) -> httpx.Response:
        self.page = await self.client.get(self.path + query, headers=headers)
        return self.page

    async def post(self, **fields: Any) -> httpx.Response:
        """Send a form of the page last seen: its hidden inputs, and these."""
        sent = {"seal": self.seal} | fields
        pairs = httpx.QueryParams(
            [
                (name, one)
                for name, value in sent.items()
                for one in (value if isinstance(value, list) else [value])
            ]
        )
        answer = await self.client.request("POST", self.path, content=str(pairs).encode(), headers=FORM)
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.page = answer
        return answer

    async def accept(self, **fields: Any) -> httpx.Response:
        return await self.post(**{"do": "accept", "name": "Li Hua", "agree": "on"} | fields)

    async def decline(self, **fields: Any) -> httpx.Response:
        return await self.post(do="decline", **fields)

    @property
    def seal(self) -> str:
        found = re.search(r'name="seal" value="([^"]*)"', self.page.text if self.page else "")
        return unescape(found[1]) if found else ""
