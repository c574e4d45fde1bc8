"""Contracts as records: numbered, guarded by their state, and moved only by the table of states."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.kernel.clock import FixedClock
from app.modules.contracts.models import ContractStatus
from app.modules.contracts.services.states import AMENDMENTS, MACHINE
from tests.modules.contracts.conftest import Hire
from tests.modules.contracts.deals import (
    act,
    again,
    draft,
    item,
    money,
    pointers,
    put,
    refusal,
    sign,
    signed,
    try_act,
)
from tests.modules.support import count, make
from tests.support.api import Client, Company


def test_the_table_of_states_is_the_whole_of_it() -> None:
    assert MACHINE.markdown().splitlines()[2:] == [
        "| draft | submit | in_approval |",
        "| draft | approve | approved |",
        "| in_approval | approve | approved |",
        "| in_approval | return | draft |",
        "| approved | activate | active |",
        "| approved | void | voided |",
        "| active | void | voided |",
        "| active | terminate | terminated |",
        "| active | expire | expired |",
        "| active | renew | renewed |",
        "| expired | renew | renewed |",
        "| voided | reopen | draft |",
    ]
    assert MACHINE.final == {ContractStatus.TERMINATED, ContractStatus.RENEWED}
    assert MACHINE.states == set(ContractStatus)
    assert AMENDMENTS.final == {"in_force", "withdrawn"}


async def test_a_contract_is_numbered_by_company_and_year(owner: Client, rival: Company, clock: FixedClock):
    assert clock.now().year == 2026
    year = 2026
    first, second = await draft(owner), await draft(owner)
    other = await draft(rival.owner)
    assert [first["number"], second["number"], other["number"]] == [
        f"C-{year}-00001", f"C-{year}-00002", f"C-{year}-00001",
    ]  # fmt: skip
    assert first | {"id": None} == {
        "id": None, "version": 1, "external_id": None, "owner_id": first["owner_id"], "team_id": first["team_id"], "tags": [],
        "custom": {}, "created_at": first["created_at"], "updated_at": first["created_at"],
        "created_by": first["owner_id"], "number": f"C-{year}-00001", "title": "Maintenance", "kind": "sale",
        "status": "draft", "account_id": first["account_id"], "contact_id": None, "opportunity_id": None,
        "quote_id": None, "value": money("1200.00"), "drawn": money("0.00"), "starts_on": "2026-01-01",
        "ends_on": "2026-12-31", "signed_on": None, "signed_by": None, "revision": 0, "language": "en",
        "description": None, "notice_days": 0, "notice_given_on": None, "terminates_on": None,
        "termination_reason": None, "void_reason": None, "auto_renew": False, "renewal_months": None,
        "renewal_uplift_percent": "0", "renewal_status": "draft", "renewal_reminder_days": 30,
        "predecessor_id": None, "successor_id": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"ends_on": "2025-12-31"}, "/ends_on", "before_start"),
        ({"auto_renew": True, "ends_on": None, "renewal_months": 12}, "/auto_renew", "open_term"),
        ({"auto_renew": True}, "/renewal_months", "required"),
        ({"value": money("-1.00")}, "/value", "amount_out_of_range"),
        ({"account_id": None}, "/account_id", "required"),
        ({"account_id": "0198c0de-0000-7000-8000-000000000000"}, "/account_id", "unknown_reference"),
        ({"contact_id": "0198c0de-0000-7000-8000-000000000000"}, "/contact_id", "unknown_reference"),
        ({"opportunity_id": "0198c0de-0000-7000-8000-000000000000"}, "/opportunity_id", "unknown_reference"),
    ],
)
async def test_what_does_not_make_a_contract_is_refused(
    company: Company, owner: Client, fields: dict[str, Any], pointer: str, code: str
):
    account = await make(owner, "accounts", name="Acme")
    body = {"title": "A", "value": money("1.00"), "starts_on": "2026-01-01", "ends_on": "2026-12-31",
            "account_id": account["id"]} | fields  # fmt: skip
    assert pointers(await owner.post("/v1/contracts", body)) == [(pointer, code)]
    assert await count(company, "contracts.contracts") == 0


async def test_another_companys_account_is_unknown(owner: Client, rival: Company):
    theirs = await make(rival.owner, "accounts", name="Theirs")
    answer = await owner.post(
        "/v1/contracts",
        {"title": "A", "value": money("1.00"), "starts_on": "2026-01-01", "account_id": theirs["id"]},
    )
    assert pointers(answer) == [("/account_id", "unknown_reference")]


async def test_what_has_left_the_draft_keeps_what_was_agreed(owner: Client):
    contract = await draft(owner)
    path = f"/v1/contracts/{contract['id']}"
    changed = await owner.ok("PATCH", path, json={"title": "Upkeep", "value": money("1300.00")}, if_match=1)
    assert (changed["title"], changed["value"], changed["version"]) == ("Upkeep", money("1300.00"), 2)
    approved = await act(owner, contract, "submit")
    assert (approved["status"], approved["version"]) == ("approved", 3)
    for state in ("approved", "active"):
        before = await again(owner, contract)
        assert before["status"] == state
        for body in ({"title": "X"}, {"value": money("1.00")}, {"ends_on": None}, {"notice_days": 3}):
            answer = await owner.patch(path, body, if_match=before["version"])
            assert (*refusal(answer), answer.json()["status_now"]) == (409, "contract_locked", state)
        for part, name in (
            ("parties", "parties"),
            ("lines", "lines"),
            ("plan", "items"),
            ("clauses", "clauses"),
        ):
            answer = await owner.put(f"{path}/{part}", {name: []}, if_match=before["version"])
            assert refusal(answer) == (409, "contract_locked")
        assert refusal(await owner.delete(path, if_match=before["version"])) == (409, "contract_locked")
        assert await again(owner, contract) == before
        if state == "approved":
            await act(owner, contract, "activate")
    version = (await again(owner, contract))["version"]
    kept = await owner.ok("PATCH", path, json={"tags": ["vip"], "description": "d"}, if_match=version)
    assert (kept["tags"], kept["title"]) == (["vip"], "Upkeep")


async def test_a_step_that_does_not_follow_changes_nothing(owner: Client):
    contract = await draft(owner)
    for step, body in (("activate", {}), ("void", {"reason": "x"}), ("reopen", {}), ("recall", {}),
                       ("terminate", {"reason": "x"}), ("renew", {"months": 12})):  # fmt: skip
        answer = await try_act(owner, contract, step, **body)
        assert (*refusal(answer), answer.json()["state"]) == (409, "invalid_transition", "draft"), step
        assert answer.json()["allowed"] == ["approve", "submit"]
    assert await again(owner, contract) == contract


async def test_steps_go_by_the_version_that_was_read(owner: Client):
    contract = await draft(owner)
    path = f"/v1/contracts/{contract['id']}/submit"
    assert refusal(await owner.post(path)) == (428, "version_required")
    assert refusal(await owner.post(path, if_match=7)) == (412, "stale_version")
    assert await again(owner, contract) == contract


async def test_signing_puts_in_force_and_says_so(company: Company, owner: Client, look, clock: FixedClock):
    contract = await draft(owner)
    await act(owner, contract, "submit", note="please")
    late = await try_act(owner, contract, "activate", signed_on="2199-01-01")
    assert pointers(late) == [("/signed_on", "in_future")]
    active = await act(owner, contract, "activate", signed_on="2026-01-05", signed_by="Wang Wei")
    assert (active["status"], active["signed_on"], active["signed_by"], active["revision"]) == (
        "active", "2026-01-05", "Wang Wei", 1,
    )  # fmt: skip
    told = await look.rows(
        "SELECT type, data FROM kernel.outbox WHERE tenant_id = $1 AND type LIKE 'contracts.contract.%'"
        " AND type NOT LIKE '%.updated.v1' ORDER BY id",
        company.tenant_id,
    )
    assert [row["type"].split(".")[2] for row in told] == ["created", "stepped", "activated"]
    approved, activated = (json.loads(row["data"]) for row in told[1:])
    assert approved | {"id": ""} == {"id": "", "step": "approve", "status": "approved", "reason": None}
    assert activated["value"] == money("1200.00")
    account = await owner.ok("GET", f"/v1/accounts/{contract['account_id']}")
    assert account["lifecycle_stage"] == "customer"
    history = (await owner.ok("GET", f"/v1/contracts/{contract['id']}/history"))["data"]
    assert [entry["action"] for entry in history] == ["activate", "approve", "created"]


async def test_a_contract_is_voided_before_it_is_edited_again(company: Company, owner: Client):
    plan = [item("Fee", percent="100", rule="after_signing", days=10)]
    contract = await signed(owner, plan)
    voided = await act(owner, contract, "void", reason="Other terms")
    assert (voided["status"], voided["void_reason"], voided["revision"]) == ("voided", "Other terms", 1)
    rows = (await owner.ok("GET", f"/v1/contracts/{contract['id']}/plan"))["data"]
    assert [row["status"] for row in rows] == ["void"]
    reopened = await act(owner, contract, "reopen")
    assert (reopened["status"], reopened["signed_on"], reopened["void_reason"]) == ("draft", None, None)
    await owner.ok(
        "PATCH",
        f"/v1/contracts/{contract['id']}",
        json={"value": money("600.00")},
        if_match=reopened["version"],
    )
    plan = await owner.ok("GET", f"/v1/contracts/{contract['id']}/plan")
    assert (plan["total"], plan["data"][0]["status"]) == (money("600.00"), "not_yet_effective")
    active = await sign(owner, contract)
    assert (active["revision"], active["value"]) == (2, money("600.00"))
    never = await owner.delete(f"/v1/contracts/{contract['id']}", if_match=active["version"])
    assert refusal(never) == (409, "contract_locked")


async def test_ending_needs_its_own_permission(owner: Client, hire: Hire):
    seller = await hire("salesperson")
    contract = await signed(seller)
    for step in ("void", "terminate"):
        answer = await try_act(seller, contract, step, reason="x")
        assert (*refusal(answer), answer.json()["permission"]) == (403, "forbidden", "contract:end")
    assert (await again(seller, contract))["status"] == "active"
    assert (await act(owner, contract, "void", reason="x"))["status"] == "voided"


async def test_what_it_is_worth_is_hidden_everywhere(owner: Client, hire: Hire):
    contract = await signed(owner, [item("Fee", percent="100", rule="after_signing")])
    path = f"/v1/contracts/{contract['id']}"
    await owner.ok(
        "POST",
        f"{path}/amendments",
        json={"title": "More", "changes": {"value": money("1300.00"), "title": "Upkeep"}},
    )
    grants = {"contract:read": "all", "contract:update": "all", "contract:end": "all"}
    role = await owner.ok(
        "POST",
        "/v1/roles",
        json={"name": "Blind", "grants": grants, "field_rules": {"contract": {"hidden": ["value"]}}},
    )
    blind = await hire("viewer", role_ids=[role["id"]])
    shown = await again(blind, contract)
    assert "value" not in shown
    assert "drawn" not in shown
    for part in ("plan", "lines", "drawings", "revisions", "amendments", "clauses", "revisions/1"):
        text = (await blind.get(f"{path}/{part}")).text
        assert "1200" not in text, part
        assert "1300" not in text, part
    for part, name in (("lines", "lines"), ("plan", "items")):
        refused = await blind.put(f"{path}/{part}", {name: []}, if_match=shown["version"])
        assert refused.status_code in (403, 409)


async def test_a_draft_can_be_deleted_and_found_by_its_number(company: Company, owner: Client):
    contract = await draft(owner, title="Wartung Pumpen")
    found = await owner.ok("GET", f"/v1/contracts?q={contract['number']}")
    assert [row["id"] for row in found["data"]] == [contract["id"]]
    filtered = await owner.ok("GET", "/v1/contracts?status=draft&ends_on[lt]=2027-01-01&sort=ends_on")
    assert [row["id"] for row in filtered["data"]] == [contract["id"]]
    await put(owner, contract, "lines", lines=[])
    await owner.ok("DELETE", f"/v1/contracts/{contract['id']}", if_match=2)
    assert await count(company, "contracts.contracts") == 0
