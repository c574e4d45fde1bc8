"""The demo company's contracts: each in the state that it is to show, also when the load is done again."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import httpx

from app.demo.client import Api
from app.demo.contract_loader import ContractLoader
from app.demo.generator import generate
from tests.modules.support import make
from tests.support.api import CheckedTransport, Company


async def test_contracts_are_there_in_every_state_once(company: Company) -> None:
    demo = generate(7, now=datetime.now(UTC).replace(microsecond=0))
    http = httpx.AsyncClient(transport=CheckedTransport(company.app), base_url="http://rapport.test")
    loader = ContractLoader(Api("http://rapport.test", company.owner.token, http=http), demo, lambda *_: None)
    accounts, contacts, opportunities, members = {}, {}, {}, {}
    for deal in loader.deals:
        if deal.account not in accounts:
            accounts[deal.account] = (await make(company.owner, "accounts", name=deal.account))["id"]
        if deal.contact and deal.contact not in contacts:
            contacts[deal.contact] = (await make(company.owner, "contacts", name=deal.contact))["id"]
        made = await make(company.owner, "opportunities", name=deal.name, account_id=accounts[deal.account])
        opportunities[deal.external_id] = made["id"]
        members[deal.owner] = str(company.member_id)
    given = {"accounts": accounts, "contacts": contacts, "opportunities": opportunities, "members": members}
    await loader.load(**given)
    first = (await company.owner.ok("GET", "/v1/contracts?limit=200&sort=number"))["data"]
    await loader.load(**given)
    assert (await company.owner.ok("GET", "/v1/contracts?limit=200&sort=number"))["data"] == first
    assert Counter(row["status"] for row in first) == {
        "active": 8, "draft": 2, "approved": 1, "voided": 1, "terminated": 1,
    }  # fmt: skip
    assert sum(row["revision"] == 2 for row in first) == 1
    assert sum(row["successor_id"] is not None for row in first) == 1
    assert (await company.owner.ok("GET", "/v1/contract-clause-templates"))["data"][0]["key"] == "payment"
