"""Issued invoices stay as they were issued, whoever is forgotten; what is beside them, and drafts, do not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.modules.orders.orders import line, order_of, stepped
from tests.support.api import Client
from tests.tenants.privacy.support import asked, erased

pytestmark = pytest.mark.usefixtures("rival")

NAME = "Zelda Quimby"
HOME = {
    "name": NAME, "street": "1 Elm Street", "city": "Springfield", "postal_code": "12345", "country": "US",
    "phone": "+12125550188",
}  # fmt: skip
Json = dict[str, Any]


async def invoiced(owner: Client, order: Json, *, issue: bool = True, **fields: Any) -> Json:
    body = {"order_id": order["id"], "what": "remaining"}
    made: Json = await owner.ok("POST", "/v1/invoices/from-order", json=body)
    if fields:
        made = await owner.ok("PATCH", f"/v1/invoices/{made['id']}", if_match=made["version"], json=fields)
    if not issue:
        return made
    path = f"/v1/invoices/{made['id']}/issue"
    issued: Json = await owner.ok("POST", path, if_match=made["version"], json={})
    return issued


async def ordered(company: Any, account: Json, **fields: Any) -> Json:
    order = await order_of(company.owner, account, line("1", "100.00", description="A chair"), **fields)
    return await stepped(company.owner, order, "confirm")


async def shown(owner: Client, kind: str, row: Json) -> Json:
    found: Json = await owner.ok("GET", f"/v1/{kind}/{row['id']}")
    return found


async def pdf(owner: Client, invoice: Json) -> bytes:
    answer = await owner.get(f"/v1/invoices/{invoice['id']}/pdf")
    assert answer.status_code == 200
    return bytes(answer.content)


async def test_an_issued_invoice_of_a_consumer_stays_as_it_was_and_the_rest_goes(owner, app, company):
    account = await owner.ok("POST", "/v1/accounts", json={"name": NAME, "kind": "person"})
    order = await ordered(company, account, billing_address=HOME, shipping_address=HOME)
    bill = await invoiced(owner, order, reference="Zelda 7", tags=["of Zelda Quimby"])
    later = await ordered(company, account, shipping_address=HOME)
    draft = await invoiced(owner, later, issue=False, reference="Zelda 8")
    note = await owner.ok(
        "POST", f"/v1/invoices/{bill['id']}/credit", if_match=bill["version"], json={"reason": "Zelda called"}
    )
    before = {one["id"]: (await shown(owner, "invoices", one), await pdf(owner, one)) for one in (bill, note)}

    asking = await asked(owner, "erasure", ("account", account["id"]))
    kept = [one for one in asking["held"] if one["action"] == "kept"]
    assert [(one["table"], one["rows"]) for one in kept] == [
        ("orders.invoices", 2),
        ("orders.invoice_lines", 2),
    ]
    assert "GDPR art. 17 (3) (b)" in kept[0]["why"]
    done = await erased(owner, app.kernel, ("account", account["id"]))

    for one in (bill, note):
        row, paper = before[one["id"]]
        after = await shown(owner, "invoices", one)
        same = ("number", "customer_name", "reference", "reason", "note", "lines", "total", "issued_on")
        assert {name: after[name] for name in same} == {name: row[name] for name in same}
        assert (after["customer_name"], after["tags"]) == (NAME, [])
        assert await pdf(owner, one) == paper
    assert (await shown(owner, "invoices", draft))["reference"] is None
    found = await shown(owner, "orders", order)
    stays = {name: value for name, value in HOME.items() if name != "phone"}
    assert {name: value for name, value in found["billing_address"].items() if value} == stays
    assert {name: value for name, value in found["shipping_address"].items() if value} == {"country": "US"}
    found = await shown(owner, "orders", later)
    assert {name: value for name, value in found["shipping_address"].items() if value} == {"country": "US"}
    assert (await shown(owner, "accounts", account))["name"].startswith("Erased person ")
    assert (await owner.ok("GET", "/v1/invoices", params={"q": "Quimby"}))["data"] == []
    certificate = await owner.ok("GET", f"/v1/privacy/requests/{done['id']}/certificate")
    assert certificate["valid"]
    told = [one for one in certificate["certificate"]["held"] if one["action"] == "kept"]
    assert [(one["table"], one["rows"], one["why"]) for one in told] == [
        (one["table"], one["rows"], one["why"]) for one in kept
    ]


async def test_the_address_that_an_issued_invoice_shows_stays_though_it_is_that_for_goods(
    owner, app, company
):
    account = await owner.ok("POST", "/v1/accounts", json={"name": NAME, "kind": "person"})
    order = await ordered(company, account, shipping_address=HOME)
    bill = await invoiced(owner, order)
    await erased(owner, app.kernel, ("account", account["id"]))  # before anybody asked for the PDF
    assert (await pdf(owner, bill)).startswith(b"%PDF")
    found = await shown(owner, "orders", order)
    assert (found["shipping_address"]["street"], found["shipping_address"].get("phone")) == (
        "1 Elm Street",
        None,
    )
    assert (await shown(owner, "invoices", bill))["customer_name"] == NAME


async def test_an_invoice_to_a_company_keeps_whom_it_was_addressed_to(owner, app, company):
    account = await owner.ok("POST", "/v1/accounts", json={"name": "Acme", "country": "US"})
    contact = await owner.ok(
        "POST",
        "/v1/contacts",
        json={"name": NAME, "account_id": account["id"], "email": "zelda@quimby.example"},
    )
    order = await ordered(
        company, account, contact_id=contact["id"], billing_address=HOME, shipping_address=HOME
    )
    bill = await invoiced(owner, order, note="Thank you, Zelda Quimby", tags=["of Zelda Quimby", "new"])
    later = await ordered(company, account, contact_id=contact["id"], billing_address=HOME)
    paper = await pdf(owner, bill)
    await erased(owner, app.kernel, ("contact", contact["id"]))
    after = await shown(owner, "invoices", bill)
    assert (after["customer_name"], after["note"]) == ("Acme", "Thank you, Zelda Quimby")
    assert after["tags"][1:] == ["new"]
    assert NAME not in after["tags"][0]
    assert await pdf(owner, bill) == paper
    found = await shown(owner, "orders", order)
    assert (found["billing_address"]["name"], NAME in found["shipping_address"]["name"]) == (NAME, False)
    assert NAME not in (await shown(owner, "orders", later))["billing_address"]["name"]
