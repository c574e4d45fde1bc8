"""Who did what: a record's history and the company's audit log over HTTP."""

from __future__ import annotations

from tests.kernel.conftest import make_toy, member_id, refusal


async def change(owner, toy, **fields):
    return await owner.ok("PATCH", f"/v1/toys/{toy['id']}", json=fields, if_match=toy["version"])


async def test_history_says_who_changed_what_newest_first(owner):
    toy = await make_toy(owner, pieces=3)
    toy = await change(owner, toy, name="Big ball")
    await change(owner, toy, pieces=None)
    page = await owner.ok("GET", f"/v1/toys/{toy['id']}/history")
    assert [(e["action"], e["actor_name"], e["actor_id"]) for e in page["data"]] == [
        ("updated", "Olivia Owner", owner.facts["member_id"]),
        ("updated", "Olivia Owner", owner.facts["member_id"]),
        ("created", "Olivia Owner", owner.facts["member_id"]),
    ]
    assert page["data"][0]["changes"] == {"pieces": [3, None]}
    assert page["data"][1]["changes"] == {"name": ["Ball", "Big ball"]}
    assert page["data"][2]["changes"]["name"] == [None, "Ball"]
    assert (page["next_cursor"], page["has_more"]) == (None, False)


async def test_history_pages_without_gap_or_repetition(owner):
    toy = await make_toy(owner)
    for number in range(5):
        toy = await change(owner, toy, pieces=number)
    url, seen, cursor = f"/v1/toys/{toy['id']}/history", [], None
    while True:
        page = await owner.ok("GET", url, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        seen += [entry["changes"].get("pieces", [0, None])[1] for entry in page["data"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert seen == [4, 3, 2, 1, 0, None]


async def test_a_cursor_of_another_record_is_refused(owner):
    one, two = await make_toy(owner), await make_toy(owner)
    await change(owner, one, pieces=1)
    cursor = (await owner.ok("GET", f"/v1/toys/{one['id']}/history", params={"limit": 1}))["next_cursor"]
    answer = await owner.get(f"/v1/toys/{two['id']}/history", params={"cursor": cursor})
    assert refusal(answer) == (400, "invalid_cursor")


async def test_hidden_fields_are_hidden_in_history_and_log_too(owner, hire):
    mate = await hire({"toy:read": "all", "audit:read": "all"}, field_rules={"toy": {"hidden": ["email"]}})
    toy = await make_toy(owner, email="secret@example.com")
    await change(owner, toy, email="other@example.com", pieces=2)
    history = await mate.ok("GET", f"/v1/toys/{toy['id']}/history")
    assert [set(entry["changes"]) & {"email", "pieces"} for entry in history["data"]] == [{"pieces"}, set()]
    log = await mate.get("/v1/audit", params={"object": "toy"})
    assert len(log.json()["data"]) == 2
    assert "example.com" not in log.text


async def test_history_of_a_record_that_one_may_not_see_is_not_found(owner, hire):
    mate = await hire({"toy:read": "own"})
    toy = await make_toy(owner)
    assert refusal(await mate.get(f"/v1/toys/{toy['id']}/history")) == (404, "not_found")


async def test_another_company_sees_no_history_and_no_log(owner, rival):
    toy = await make_toy(owner)
    assert refusal(await rival.owner.get(f"/v1/toys/{toy['id']}/history")) == (404, "not_found")
    log = await rival.owner.ok("GET", "/v1/audit", params={"record_id": toy["id"]})
    assert log["data"] == []


async def test_the_log_can_be_filtered(owner, hire):
    mate = await hire({"toy:read": "all", "toy:create": "all"})
    mine, theirs = await make_toy(owner), await make_toy(mate)
    await change(owner, mine, pieces=1)

    async def found(**filters):
        log = await owner.ok("GET", "/v1/audit", params={"object": "toy"} | filters)
        return [(entry["record_id"], entry["action"]) for entry in log["data"]]

    assert await found() == [(mine["id"], "updated"), (theirs["id"], "created"), (mine["id"], "created")]
    assert await found(actor_id=member_id(mate)) == [(theirs["id"], "created")]
    assert await found(record_id=mine["id"], action="created") == [(mine["id"], "created")]
    assert await found(**{"action[in]": "updated,deleted"}) == [(mine["id"], "updated")]
    assert len(await found(**{"at[gte]": "today"})) == 3
    assert await found(**{"at[lt]": "today"}) == []
    assert refusal(await owner.get("/v1/audit", params={"colour": "red"})) == (400, "invalid_filter")


async def test_the_log_needs_its_permission(hire, unchanged):
    mate = await hire("manager")
    async with unchanged():
        assert refusal(await mate.get("/v1/audit")) == (403, "forbidden")
        assert refusal(await mate.get("/v1/audit/status")) == (403, "forbidden")


async def test_status_counts_what_waits_to_be_sealed(owner):
    await make_toy(owner)
    status = await owner.ok("GET", "/v1/audit/status")
    log = await owner.ok("GET", "/v1/audit")
    assert (status["sealed"], status["waiting"], status["signed"]) == (0, len(log["data"]), 0)
