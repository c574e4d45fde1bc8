"""What somebody with few rights gets at by way of pools, meetings, sums and the audit log: no more than before."""

from __future__ import annotations

from tests.kernel.conftest import member_id, refusal
from tests.modules.customers.pooling import make_pool, pooled
from tests.modules.support import make


async def test_a_record_of_others_does_not_become_mine_through_a_pool(owner, hire, unchanged):
    await make_pool(owner, "lead", open_to_all=True)
    salesperson = await hire("salesperson")
    lead = await make(owner, "leads", name="Hot")
    share = {"member_id": member_id(salesperson), "access": "write"}
    await owner.ok("POST", f"/v1/leads/{lead['id']}/shares", json=share)
    async with unchanged():
        taken = await salesperson.post(f"/v1/leads/{lead['id']}/release", {"reason": "x"}, if_match=1)
    assert refusal(taken) == (403, "forbidden")
    mine = await make(salesperson, "leads", name="Mine")
    gone = await salesperson.post(f"/v1/leads/{mine['id']}/release", {"reason": "no time"}, if_match=1)
    assert gone.status_code == 204


async def test_sums_may_be_larger_than_any_amount(owner):
    await owner.ok(
        "POST", "/v1/exchange-rates", json={"currency": "EUR", "rate": "900000", "valid_from": "2000-01-01"}
    )
    amount = {"amount": "99999999999.00", "currency": "EUR"}
    for _ in range(12):
        await make(owner, "opportunities", name="Huge", amount=amount, expected_close_on="2026-06-01")
    board = await owner.ok("GET", "/v1/opportunities/board")
    assert board["columns"][0]["totals"]["amount_home"]["amount"] == "1079999999989200000.00"
    for path in ("/v1/forecast", "/v1/forecast/accuracy", "/v1/opportunities/win-loss?group_by=owner"):
        await owner.ok("GET", path)


async def test_attendees_show_no_address_that_a_role_hides_or_nobody_has_claimed(owner, hire):
    contact = await make(owner, "contacts", name="Ann Lee", email="secret@zeta.example")
    pool = await make_pool(owner, "lead", open_to_all=True, mask_contacts=True)
    (lead,) = await pooled(owner, pool, email="pooled@zeta.example")
    people = [{"object": "contact", "record_id": contact["id"]}, {"object": "lead", "record_id": lead["id"]}]
    meeting = await make(
        owner,
        "activities",
        kind="meeting",
        subject="Talk",
        starts_at="2031-01-01T00:00:00Z",
        ends_at="2031-01-01T01:00:00Z",
        attendees=people,
    )
    path = f"/v1/activities/{meeting['id']}/attendees"
    addresses = {one["object"]: one["email"] for one in (await owner.ok("GET", path))["data"]}
    assert addresses == {"contact": "secret@zeta.example", "lead": None}
    spy = await hire({"activity:read": "all"}, field_rules={"contact": {"hidden": ["email"]}})
    assert [one["email"] for one in (await spy.ok("GET", path))["data"]] == [None, None]


async def test_submissions_of_hidden_amounts_are_not_shown(owner, hire):
    figure = {
        "period": "quarter",
        "starts_on": "2026-01-01",
        "category": "commit",
        "amount": {"amount": "10.00", "currency": "USD"},
    }
    await owner.ok("POST", "/v1/forecast/submissions", json=figure)
    spy = await hire({"opportunity:read": "all"}, field_rules={"opportunity": {"hidden": ["amount"]}})
    assert (await spy.ok("GET", "/v1/forecast/submissions"))["data"] == []
    assert len((await owner.ok("GET", "/v1/forecast/submissions"))["data"]) == 1


async def test_the_audit_log_tells_no_hidden_amount_by_the_parts_of_an_opportunity(owner, hire):
    deal = await make(owner, "opportunities", name="A")
    cost = {"kind": "travel", "amount": {"amount": "9876.54", "currency": "USD"}}
    await owner.ok("POST", f"/v1/opportunities/{deal['id']}/costs", json=cost)
    line = {"product_name": "Pump", "quantity": "1", "unit_price": {"amount": "4321.00", "currency": "USD"}}
    await owner.ok("POST", f"/v1/opportunities/{deal['id']}/lines", json=line, if_match=1)
    rules = {"opportunity": {"hidden": ["amount", "budget"]}}
    spy = await hire({"audit:read": "all", "opportunity:read": "all"}, field_rules=rules)
    for client, told in ((owner, True), (spy, False)):
        text = str((await client.ok("GET", "/v1/audit?limit=200"))["data"])
        assert ("987654" in text) is told
        assert ("4321" in text) is told


async def test_a_pooled_record_takes_the_owner_of_what_is_merged_into_it(owner):
    pool = await make_pool(owner, "lead")
    (master,) = await pooled(owner, pool)
    other = await make(owner, "leads", name="Twin")
    records = [{"id": one["id"], "version": one["version"]} for one in (master, other)]
    body = {"records": records, "master_id": master["id"]}
    merged = await owner.ok("POST", "/v1/leads/merge", json=body)
    survivor = merged["record"]
    assert (survivor["id"], survivor["owner_id"], survivor["pool_id"]) == (
        master["id"],
        other["owner_id"],
        None,
    )


async def test_a_merge_that_is_undone_brings_nothing_into_a_pool_that_is_gone(owner):
    pool = await make_pool(owner, "lead")
    (buried,) = await pooled(owner, pool)
    master = await make(owner, "leads", name="Master")
    records = [{"id": one["id"], "version": one["version"]} for one in (master, buried)]
    merged = await owner.ok("POST", "/v1/leads/merge", json={"records": records, "master_id": master["id"]})
    found = await owner.ok("GET", f"/v1/pools/{pool['id']}")
    await owner.ok("DELETE", f"/v1/pools/{pool['id']}", if_match=found["version"])
    await owner.ok("POST", f"/v1/merges/{merged['merge']['id']}/undo")
    back = await owner.ok("GET", f"/v1/leads/{buried['id']}")
    assert (back["id"], back["owner_id"], back["pool_id"], back["pooled_at"]) == (
        buried["id"],
        None,
        None,
        None,
    )
