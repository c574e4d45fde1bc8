"""What the tests of surveys share: resolved cases, customers who are asked, and the worker that asks them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx

from app.kernel.access import system_actor
from app.kernel.jobs import JobRunner
from app.kernel.outbox import Relay
from app.main import Application
from app.modules.after_sales.services.surveys.sending import KIND, SurveySender
from tests.modules.after_sales.cases.cases import case_of, stepped
from tests.modules.support import acting, actor_of, make
from tests.support.api import Client, Company
from tests.tenants.people import stranger_from, unique_email

Json = dict[str, Any]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def survey(owner: Client, kind: str = "csat", **fields: Any) -> Json:
    return await make(owner, "surveys", **{"name": f"After each case ({kind})", "kind": kind} | fields)


async def customer(owner: Client, **fields: Any) -> Json:
    account = await make(owner, "accounts", name="Harbour Pumps")
    body = {"account_id": account["id"], "name": "Li Hua", "email": unique_email("li")} | fields
    return await make(owner, "contacts", **body)


async def resolved(owner: Client, contact: Json, **fields: Any) -> Json:
    case = await case_of(owner, contact_id=contact["id"], **fields)
    return await stepped(owner, case, "resolve", {})


async def asked(owner: Client, made: Json, case: Json, **body: Any) -> Json:
    """An invitation made by hand: with its link, and no mail."""
    path = f"/v1/surveys/{made['id']}/invitations"
    found: Json = await owner.ok("POST", path, json={"case_id": case["id"], "by_mail": False} | body)
    return found


def path_of(invitation: Json) -> str:
    return "/s/" + str(invitation["url"]).rpartition("/")[2]


async def answer(app: Application, invitation: Json, score: object, **fields: Any) -> httpx.Response:
    """Send the page's form."""
    body = urlencode({"score": score} | fields)
    return await stranger_from(app).post(path_of(invitation), content=body, headers=FORM)


async def relayed(company: Company) -> None:
    """Let everything that was published reach those who react."""
    relay = Relay(company.kernel)
    while await relay.run_once():
        pass


async def worked(company: Company) -> None:
    """Do the jobs that are due."""
    await JobRunner(company.kernel).run_due()


async def due(company: Company) -> None:
    """Send what is due by the jobs that were ordered, and leave the mails that this orders to be looked at."""
    actor = system_actor((await actor_of(company)).tenant)
    async with acting(company, actor) as uow:
        orders = await uow.fetch(
            "SELECT payload->>'id' AS id FROM kernel.jobs WHERE tenant_id = $1 AND name = $2 AND run_at <= $3",
            uow.tenant_id,
            KIND.name,
            uow.now,
        )
    for order in orders:
        async with acting(company, actor) as uow:
            await SurveySender(uow).send_due(UUID(order["id"]))


async def of_case(owner: Client, case: Json) -> list[Json]:
    found: list[Json] = (await owner.ok("GET", f"/v1/cases/{case['id']}/surveys"))["data"]
    return found
