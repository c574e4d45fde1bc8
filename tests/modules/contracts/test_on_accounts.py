"""What contracts are to accounts, contacts, activities and owners: seen, kept, moved along and handed over."""

from __future__ import annotations

from typing import Any

from app.kernel.clock import FixedClock
from tests.modules.contracts.conftest import Hire
from tests.modules.contracts.deals import act, again, draft, money, part, put, refusal, signed
from tests.modules.support import count, make
from tests.support.api import Client, Company

Json = dict[str, Any]


async def test_an_account_shows_its_contracts(owner: Client, clock: FixedClock) -> None:
    account = await make(owner, "accounts", name="Acme")
    late = await signed(owner, account_id=account["id"], title="Late", ends_on="2027-12-31")
    soon = await signed(owner, account_id=account["id"], title="Soon", value=money("300.50"))
    await signed(owner, account_id=account["id"], value=money("7", "JPY"), title="Open", ends_on=None)
    await draft(owner, account_id=account["id"])
    await draft(owner)
    panel = (await owner.ok("GET", f"/v1/accounts/{account['id']}/overview"))["panels"]["contracts"]
    assert panel["counts"] == {"active": 3, "draft": 1}
    assert panel["active_value"] == [money("7", "JPY"), money("1500.50")]
    assert [one["title"] for one in panel["active_contracts"]] == ["Soon", "Late", "Open"]
    assert panel["active_contracts"][0] == {
        "id": soon["id"], "number": soon["number"], "title": "Soon", "kind": "sale", "value": money("300.50"),
        "drawn": money("0.00"), "starts_on": "2026-01-01", "ends_on": "2026-12-31", "owner_id": soon["owner_id"],
    }  # fmt: skip
    await act(owner, late, "terminate", reason="x")
    timeline = (await owner.ok("GET", f"/v1/accounts/{account['id']}/timeline"))["data"]
    titles = sorted(entry["title"] for entry in timeline if entry["kind"] == "contract")
    assert titles == [
        "Contract in force: Late", "Contract in force: Open", "Contract in force: Soon", "Contract terminated: Late",
    ]  # fmt: skip


async def test_an_account_with_contracts_is_not_deleted(company: Company, owner: Client) -> None:
    account, bank = await make(owner, "accounts", name="Acme"), await make(owner, "accounts", name="Bank")
    contact = await make(owner, "contacts", name="Ann")
    contract = await draft(owner, account_id=account["id"])
    parties = [
        {"role": "guarantor", "account_id": bank["id"]},
        {"role": "signatory", "contact_id": contact["id"]},
    ]
    rows = (await put(owner, contract, "parties", parties=parties))["data"]
    assert [(row["role"], row["name"]) for row in rows] == [("guarantor", "Bank"), ("signatory", "Ann")]
    for one in (account, bank):
        answer = await owner.delete(f"/v1/accounts/{one['id']}", if_match=1)
        assert (*refusal(answer), answer.json()["used_by"]) == (409, "account_in_use", {"contracts": 1})
    assert (await owner.delete(f"/v1/contacts/{contact['id']}", if_match=1)).status_code == 409
    assert await count(company, "customers.accounts") == 2
    await put(owner, contract, "parties", parties=[])
    await owner.ok("DELETE", f"/v1/accounts/{bank['id']}", if_match=1)
    await owner.ok("DELETE", f"/v1/contracts/{contract['id']}", if_match=3)
    await owner.ok("DELETE", f"/v1/accounts/{account['id']}", if_match=1)


async def test_merged_accounts_and_contacts_take_their_contracts_along(owner: Client) -> None:
    one, other = await make(owner, "accounts", name="Acme"), await make(owner, "accounts", name="Acme Ltd")
    ann, anne = await make(owner, "contacts", name="Ann"), await make(owner, "contacts", name="Anne")
    contract = await draft(owner, account_id=other["id"], contact_id=anne["id"])
    parties = [
        {"role": "customer", "account_id": other["id"]},
        {"role": "signatory", "contact_id": anne["id"]},
    ]
    await put(owner, contract, "parties", parties=parties)
    for plural, first, second in (("accounts", one, other), ("contacts", ann, anne)):
        body = {"records": [{"id": r["id"], "version": 1} for r in (first, second)], "master_id": first["id"]}
        merged = await owner.ok("POST", f"/v1/{plural}/merge", json=body)
        assert {k: merged["merge"]["moved"][k] for k in ("contracts", "contract_parties")} == {
            "contracts": 1, "contract_parties": 1,
        }  # fmt: skip
    now = await again(owner, contract)
    assert (now["account_id"], now["contact_id"]) == (one["id"], ann["id"])
    rows = await part(owner, contract, "parties")
    assert [(row["account_id"], row["contact_id"]) for row in rows] == [(one["id"], None), (None, ann["id"])]


async def test_contracts_go_along_to_the_new_owner_of_their_account(
    company: Company, owner: Client, hire: Hire
) -> None:
    account = await make(owner, "accounts", name="Acme")
    running, over = (
        await signed(owner, account_id=account["id"]),
        await signed(owner, account_id=account["id"]),
    )
    await act(owner, over, "terminate", reason="x")
    heir = (await hire("salesperson")).facts["member_id"]
    body = {"ids": [account["id"]], "owner_id": heir}
    answer = await owner.ok("POST", "/v1/accounts/transfer", json=body)
    assert answer["went_along"]["contract"] == 1
    assert (await again(owner, running))["owner_id"] == heir
    assert (await again(owner, over))["owner_id"] == str(company.member_id)


async def test_activities_and_files_can_be_about_contracts(owner: Client) -> None:
    contract = await draft(owner)
    about = [{"object": "contract", "record_id": contract["id"]}]
    note = await owner.ok(
        "POST",
        "/v1/activities",
        json={"kind": "note", "subject": "Scan", "body": "Signed copy", "about": about},
    )
    file = await owner.ok(
        "POST",
        "/v1/files?filename=contract.pdf",
        content=b"%PDF-1.7",
        headers={"Content-Type": "application/octet-stream"},
    )
    await owner.ok("POST", f"/v1/activities/{note['id']}/attachments", json={"file_id": file["id"]})
    timeline = await owner.ok("GET", f"/v1/timeline?object=contract&record_id={contract['id']}")
    assert [entry["title"] for entry in timeline["data"]] == ["Scan", "Created"]


async def test_who_does_not_see_a_contract_sees_nothing_of_it(
    owner: Client, hire: Hire, rival: Company
) -> None:
    role = await owner.ok(
        "POST",
        "/v1/roles",
        json={"name": "Own only", "grants": {"contract:read": "own", "contract:update": "own"}},
    )
    contract = await signed(owner)
    for client in (await hire("viewer", role_ids=[role["id"]]), rival.owner):
        path = f"/v1/contracts/{contract['id']}"
        for part_ in ("", "/parties", "/lines", "/plan", "/clauses", "/drawings", "/revisions", "/revisions/1",
                      "/amendments", "/history"):  # fmt: skip
            assert (await client.get(f"{path}{part_}")).status_code == 404, part_
        for part_, name in (
            ("parties", "parties"),
            ("lines", "lines"),
            ("plan", "items"),
            ("clauses", "clauses"),
        ):
            assert (await client.put(f"{path}/{part_}", {name: []}, if_match=3)).status_code == 404
        assert (await client.post(f"{path}/submit", if_match=3)).status_code == 404
        assert (await client.ok("GET", "/v1/contracts"))["data"] == []
