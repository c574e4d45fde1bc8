"""Invoices on paper: what they say in both languages, and that what was issued is kept as it was."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from pypdf import PdfReader

from tests.modules.orders.orders import line
from tests.modules.orders.receivables.books import charge, confirmed, done, draft, from_order, issue, issued
from tests.modules.support import acting
from tests.support.api import Client, Company

Json = dict[str, Any]


async def paper(owner: Client, invoice: Json, language: str | None = None) -> tuple[str, str]:
    """Its text and its tag, which is the hash of the bytes."""
    query = f"?language={language}" if language else ""
    answer = await owner.get(f"/v1/invoices/{invoice['id']}/pdf{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf"), answer.text
    tag = answer.headers["etag"]
    assert tag == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages)
    return text, tag


async def kept(company: Company) -> list[tuple[str, str]]:
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT language, sha256 FROM kernel.documents WHERE tenant_id = $1 ORDER BY language",
            uow.tenant_id,
        )
        return [(row["language"], f'"{row["sha256"]}"') for row in rows]


async def test_an_issued_invoice_is_made_once_per_language_and_kept(
    owner: Client, account: Json, company: Company
) -> None:
    order = await confirmed(owner, account, line("2", "50.00", tax_rate="19"), customer_reference="PO-77")
    invoice = await issue(owner, await from_order(owner, order))
    english, tag = await paper(owner, invoice, "en")
    for part in (invoice["number"], order["number"], "PO-77", "Harbour Pumps", "Pump", "119.00"):
        assert part in english
    chinese, other = await paper(owner, invoice, "zh")
    assert "贵方参考号" in chinese
    assert await kept(company) == [("en", tag), ("zh", other)]
    path = f"/v1/accounts/{account['id']}"
    version = (await owner.ok("GET", path))["version"]
    await owner.ok("PATCH", path, json={"name": "Renamed"}, if_match=version)
    assert (await paper(owner, invoice, "en"))[1] == tag
    assert (await paper(owner, invoice))[1] == tag
    assert len(await kept(company)) == 2


async def test_a_draft_says_so_and_is_not_kept(owner: Client, account: Json, company: Company) -> None:
    text, _ = await paper(owner, await draft(owner, account))
    assert "Draft" in text
    assert await kept(company) == []


async def test_a_credit_note_names_the_invoice_that_it_corrects(owner: Client, account: Json) -> None:
    invoice = await issued(owner, account, charge("10.00"))
    note = await done(owner, invoice, "credit", {"reason": "wrong customer"})
    text, _ = await paper(owner, note)
    for part in (note["number"], invoice["number"], "wrong customer"):
        assert part in text


async def test_nobody_gets_paper_of_what_they_may_not_see(
    owner: Client, account: Json, rival: Company
) -> None:
    invoice = await issued(owner, account)
    await paper(owner, invoice)
    refused = await rival.owner.get(f"/v1/invoices/{invoice['id']}/pdf")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
