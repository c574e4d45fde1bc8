"""Invoices by mail with their PDF, and where customers are asked to pay to."""

from __future__ import annotations

import asyncio
import email
import email.policy
import io
from email.message import EmailMessage
from pathlib import Path

import pytest
from pypdf import PdfReader

from app.kernel.jobs import JobRunner
from app.main import Application
from tests.modules.orders.conftest import Hire
from tests.modules.orders.orders import Json, line
from tests.modules.orders.receivables.books import charge, confirmed, done, draft, from_order, issue, issued
from tests.modules.orders.receivables.test_paper import paper
from tests.modules.support import acting, make
from tests.support.api import Client, Company

BANK = "Harbour Bank\nIBAN NL91 ABNA 0417 1643 00"


async def mails(app: Application, to: str) -> list[EmailMessage]:
    """Every mail that went to an address once all that was ordered is done."""
    assert app.kernel is not None
    await JobRunner(app.kernel).run_due()
    every = await asyncio.to_thread(lying_in, app.kernel.mailer.folder)
    return [one for one in every if one["To"] == to]


def lying_in(folder: Path) -> list[EmailMessage]:
    return [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted(folder.glob("*.eml"))
    ]


async def orders_of_mail(company: Company) -> int:
    async with acting(company) as uow:
        row = await uow.fetchrow(
            "SELECT count(*) FROM kernel.jobs WHERE tenant_id = $1 AND name = 'orders.mail_invoice'",
            uow.tenant_id,
        )
        return int(row[0]) if row else 0


async def banked(owner: Client) -> None:
    tenant = await owner.ok("GET", "/v1/tenant")
    assert tenant["bank_details"] is None
    await owner.ok("PATCH", "/v1/tenant", json={"bank_details": BANK}, if_match=tenant["version"])


async def test_an_invoice_says_where_to_pay_and_a_credit_note_does_not(owner: Client, account: Json) -> None:
    await banked(owner)
    invoice = await issued(owner, account, charge("10.00"))
    text, _ = await paper(owner, invoice, "en")
    for part in ("Please pay to", "Harbour Bank", "IBAN NL91 ABNA 0417 1643 00"):
        assert part in text
    assert "收款账户" in (await paper(owner, invoice, "zh"))[0]
    note = await done(owner, invoice, "credit", {"reason": "wrong customer"})
    assert "Harbour Bank" not in (await paper(owner, note, "en"))[0]
    tenant = await owner.ok("GET", "/v1/tenant")
    await owner.ok("PATCH", "/v1/tenant", json={"bank_details": None}, if_match=tenant["version"])
    later = await issued(owner, account, charge("10.00"))
    assert "Please pay to" not in (await paper(owner, later, "en"))[0]
    assert "Harbour Bank" in (await paper(owner, invoice, "en"))[0]  # issued and kept as it was


async def test_an_invoice_goes_out_with_its_pdf(app: Application, owner: Client, account: Json) -> None:
    await banked(owner)
    contact = await make(
        owner, "contacts", name="Ada Byron", account_id=account["id"], email="ada@harbour.example.com"
    )
    order = await confirmed(owner, account, line("2", "50.00"), contact_id=contact["id"])
    invoice = await issue(owner, await from_order(owner, order))
    path = f"/v1/invoices/{invoice['id']}/send"
    answer = await owner.post(path, {"message": "Dear Ada,"})
    assert (answer.status_code, answer.json()) == (
        202,
        {"invoice_id": invoice["id"], "to": "ada@harbour.example.com"},
    )
    [mail] = await mails(app, "ada@harbour.example.com")
    assert mail["Subject"] == f"Invoice {invoice['number']}"
    me = await owner.ok("GET", f"/v1/members/{owner.facts['member_id']}")
    assert mail["Reply-To"] == me["email"]
    body = mail.get_body(("plain",))
    assert body is not None
    for part in ("Dear Ada,", invoice["number"], "100.00 USD"):
        assert part in body.get_content()
    [file] = list(mail.iter_attachments())
    assert (file.get_content_type(), file.get_filename()) == ("application/pdf", f"{invoice['number']}.pdf")
    pages = PdfReader(io.BytesIO(file.get_content())).pages
    assert "Harbour Bank" in "\n".join(page.extract_text() for page in pages)
    answer = await owner.get(f"/v1/invoices/{invoice['id']}/pdf")
    assert answer.content == file.get_content()
    other = await owner.ok("POST", path, json={"to": "books@harbour.example.com", "language": "zh"})
    assert other["to"] == "books@harbour.example.com"
    [chinese] = await mails(app, "books@harbour.example.com")
    assert chinese["Subject"] == f"账单 {invoice['number']}"


async def test_what_cannot_be_mailed_is_refused_and_nothing_goes_out(
    owner: Client, account: Json, company: Company, rival: Company, hire: Hire
) -> None:
    unissued = await draft(owner, account)
    invoice = await issued(owner, account, charge("10.00"))
    clerk = await make(owner, "roles", name="Clerk", grants={"invoice:read": "all", "invoice:update": "all"})
    grants = {"invoice:read": "all", "invoice:issue": "all"}
    blind = await make(
        owner, "roles", name="Blind", grants=grants, field_rules={"invoice": {"hidden": ["total"]}}
    )
    to = {"to": "ada@harbour.example.com"}
    for client, subject, body, refused in (
        (owner, unissued, to, (409, "invalid_transition")),
        (owner, invoice, {}, (422, "invalid")),
        (owner, invoice, {"to": "nobody"}, (422, "invalid")),
        (await hire(role_ids=[clerk["id"]]), invoice, to, (403, "forbidden")),
        (await hire(role_ids=[blind["id"]]), invoice, to, (403, "forbidden")),
        (rival.owner, invoice, to, (404, "not_found")),
    ):
        answer = await client.post(f"/v1/invoices/{subject['id']}/send", body)
        assert (answer.status_code, answer.json()["code"]) == refused, answer.text
    assert await orders_of_mail(company) == 0


@pytest.mark.parametrize("text", ["", "x" * 501])
async def test_bank_details_are_a_few_lines(owner: Client, text: str) -> None:
    tenant = await owner.ok("GET", "/v1/tenant")
    refused = await owner.patch("/v1/tenant", {"bank_details": text}, if_match=tenant["version"])
    assert refused.status_code == 422
    assert await owner.ok("GET", "/v1/tenant") == tenant
