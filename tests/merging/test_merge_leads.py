"""Merging leads: touches, states, and that a converted one stays as it is."""

from __future__ import annotations

from tests.merging.support import Unchanged, merge, merge_body, state, undo
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.tenants.people import Look


async def test_the_first_touch_is_the_earliest_and_the_last_the_latest(
    company: Company, owner: Client, look: Look
):
    early = {"created_at": "2026-01-02T00:00:00Z", "source": "fair", "campaign": "Spring"}
    one = await make(owner, "leads", name="Ann", company="Acme", source="web", utm_term="pumps")
    other = await make(owner, "leads", name="Ann", company="Acme", **early)
    silent = await make(owner, "leads", name="Ann", company="Acme", created_at="2025-01-01T00:00:00Z")
    touched = await owner.ok("POST", f"/v1/leads/{other['id']}/touches", json={"source": "mail"}, if_match=1)
    deal = await make(
        owner, "activities", kind="call", body="Hello", about=[{"object": "lead", "record_id": other["id"]}]
    )
    touched = await owner.ok("GET", f"/v1/leads/{other['id']}")  # the call was its first response
    before = await state(company, look)
    answer = await merge(owner, "leads", [one, touched, silent])
    survivor = answer["record"]
    assert (survivor["source"], survivor["campaign"], survivor["utm_term"]) == ("fair", "Spring", None)
    assert survivor["first_touch_at"] == other["first_touch_at"]
    assert (survivor["last_source"], survivor["last_touch_at"]) == ("mail", touched["last_touch_at"])
    assert answer["merge"]["moved"] == {"activities": 1, "behaviours": 1}
    now = await owner.ok("GET", f"/v1/activities/{deal['id']}")
    assert now["about"] == [{"object": "lead", "record_id": one["id"]}]
    await undo(owner, answer)
    assert await state(company, look) == before


async def test_a_state_comes_with_all_that_belongs_to_it(owner: Client):
    one = await make(owner, "leads", name="Ann")
    other = await make(owner, "leads", name="Ann")
    lost = await owner.ok(
        "POST",
        f"/v1/leads/{other['id']}/disqualify",
        json={"reason": "other", "note": "Moved away"},
        if_match=1,
    )
    answer = await merge(owner, "leads", [one, lost], fields={"status": lost["id"]})
    survivor = answer["record"]
    for name in ("status", "disqualified_reason", "disqualified_note", "disqualified_at"):
        assert survivor[name] == lost[name]
    assert survivor["status"] == "disqualified"
    await undo(owner, answer)
    assert (await owner.ok("GET", f"/v1/leads/{one['id']}"))["status"] == "new"


async def test_a_converted_lead_is_not_merged(owner: Client, unchanged: Unchanged):
    one = await make(owner, "leads", name="Ann", company="Acme")
    other = await make(owner, "leads", name="Ann", company="Acme")
    await owner.ok("POST", f"/v1/leads/{other['id']}/convert", if_match=1)
    other = await owner.ok("GET", f"/v1/leads/{other['id']}")
    async with unchanged():
        for records in ([one, other], [other, one]):
            answer = await owner.post("/v1/leads/merge", json=merge_body(records))
            assert (answer.status_code, answer.json()["code"]) == (409, "lead_already_converted")


async def test_converting_the_survivor_takes_along_what_came_from_the_others(owner: Client):
    one = await make(owner, "leads", name="Ann", company="Acme")
    other = await make(owner, "leads", name="Ann", company="Acme", email="ann@acme.example")
    about = [{"object": "lead", "record_id": other["id"]}]
    await make(owner, "activities", kind="note", body="Hello", about=about)
    answer = await merge(owner, "leads", [one, other])
    done = await owner.ok("POST", f"/v1/leads/{one['id']}/convert", if_match=answer["record"]["version"])
    assert done["activities_moved"] == 1
    refused = await owner.post(f"/v1/leads/{other['id']}/convert", if_match=1)
    assert (refused.status_code, refused.json()["survivor_id"]) == (409, one["id"])
    late = await undo(owner, answer)  # the survivor is converted by now: what was its own stays so
    assert late["restored_ids"] == [other["id"]]
