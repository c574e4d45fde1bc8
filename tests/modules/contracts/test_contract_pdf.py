"""Contracts on paper: parties, term, payments and clauses, in the contract's language, for those who see its value."""

from __future__ import annotations

import hashlib
import io

from pypdf import PdfReader

from app.modules.contracts.services.paper import describe_contract
from tests.modules.contracts.conftest import Hire
from tests.modules.contracts.deals import act, draft, item, money, put, sign
from tests.modules.support import acting, make, subject_id
from tests.support.api import Client, Company


async def paper(client: Client, contract: dict[str, str], language: str | None = None) -> str:
    """Its text."""
    query = f"?language={language}" if language else ""
    answer = await client.get(f"/v1/contracts/{contract['id']}/pdf{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf"), answer.text
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages)


async def test_a_contract_says_what_was_agreed(owner: Client) -> None:
    account = await make(owner, "accounts", name="Acme", address="Quay 1", city="Rotterdam", country="NL")
    contract = await draft(owner, account_id=account["id"], notice_days=30, language="en")
    await put(owner, contract, "parties", parties=[{"role": "guarantor", "name": "Globex", "title": "Ltd"}])
    lines = [
        {
            "description": "Maintenance visit",
            "quantity": "12",
            "unit_price": money("100.00"),
            "charge": "one_time",
        }
    ]
    await put(owner, contract, "lines", lines=lines)
    await put(
        owner,
        contract,
        "clauses",
        clauses=[{"title": "Payment", "body": "{{account.name}} pays {{contract.value}}."}],
    )
    plan = [
        item("Down payment", percent="25", rule="after_signing", days=10), item("Rest", percent="75", rule="on_date", date="2026-06-30"),
    ]  # fmt: skip
    await put(owner, contract, "plan", items=plan)
    before = await paper(owner, contract)
    assert "DRAFT" in before
    await sign(owner, contract, signed_on="2026-01-05", signed_by="Li Hua")
    text = await paper(owner, contract)
    for part in (
        "Contract", contract["number"], "Acme", "Quay 1", "Maintenance", "January 1, 2026", "30 days", "Guarantor: Globex, Ltd",
        "Maintenance visit", "Down payment", "300.00", "Rest", "900.00", "Payment", "Acme pays 1200.00 USD.", "1,200.00", "Li Hua",
    ):  # fmt: skip
        assert part in text, (part, text)
    assert "DRAFT" not in text
    assert "Tax" not in text
    chinese = await paper(owner, contract, "zh")
    assert "付款计划" in chinese
    assert "Acme pays 1200.00 USD." in chinese


async def test_nobody_gets_paper_of_a_contract_that_they_may_not_see(
    owner: Client, rival: Company, hire: Hire
) -> None:
    contract = await draft(owner)
    role = await make(
        owner,
        "roles",
        name="Blind",
        grants={"contract:read": "all"},
        field_rules={"contract": {"hidden": ["value"]}},
    )
    blind = await hire(role_ids=[role["id"]])
    for client, refused in ((rival.owner, (404, "not_found")), (blind, (403, "forbidden"))):
        answer = await client.get(f"/v1/contracts/{contract['id']}/pdf")
        assert (answer.status_code, answer.json()["code"]) == refused
    await act(owner, contract, "submit")


async def test_a_long_contract_takes_as_many_statements_as_a_short_one(
    owner: Client, company: Company
) -> None:
    counts = []
    for size in (1, 50):
        contract = await draft(owner)
        clauses = [{"title": f"Clause {n}", "body": "Whatever."} for n in range(size)]
        await put(owner, contract, "clauses", clauses=clauses)
        lines = [
            {"description": "Visit", "quantity": "1", "unit_price": money("1.00"), "charge": "one_time"}
        ] * size
        await put(owner, contract, "lines", lines=lines)
        async with acting(company) as uow:
            before = uow.statements
            await describe_contract(uow, subject_id(contract), "en")
            counts.append(uow.statements - before)
    assert counts[0] == counts[1] <= 12
