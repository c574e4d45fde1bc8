"""What an undo may put back: former values only where what they name is still there and nobody has taken them."""

from __future__ import annotations

from tests.modules.support import make
from tests.support.api import Client, Company
from tests.support.importing import changed, counted, undo
from tests.tenants.people import Look, colleague


async def test_no_contact_goes_back_to_an_account_that_is_deleted(company: Company, owner: Client) -> None:
    old = [await make(owner, "accounts", name=name) for name in ("Old Ltd", "Stays Ltd")]
    new = await make(owner, "accounts", name="New Ltd")
    for number, account in enumerate(old):
        name = f"Person {number}"
        await make(owner, "contacts", name=name, account_id=account["id"], external_id=f"c{number}")
    text = f"external_id,account_id\nc0,{new['id']}\nc1,{new['id']}\n"
    done = await changed(company, "contacts", text, changes=2)
    assert (await owner.delete(f"/v1/accounts/{old[0]['id']}", if_match=1)).status_code == 204
    before = {one["name"]: one for one in (await owner.ok("GET", "/v1/contacts"))["data"]}
    assert await undo(company, done) == (
        counted(restored=1, kept=1),
        ["2: What account_id named is deleted."],
    )
    after = {one["name"]: one for one in (await owner.ok("GET", "/v1/contacts"))["data"]}
    assert after["Person 0"] == before["Person 0"]
    assert after["Person 1"]["account_id"] == old[1]["id"]


async def test_no_account_goes_back_under_one_that_lies_below_it(company: Company, owner: Client) -> None:
    top = await make(owner, "accounts", name="Top", external_id="top")
    child = await make(owner, "accounts", name="Child", external_id="child", parent_id=top["id"])
    text = "external_id,parent_id,description\nchild,{},Freed\n"
    other = await make(owner, "accounts", name="Other", external_id="other")
    done = await changed(company, "accounts", text.format(other["id"]), changes=1)
    moved = await owner.patch(f"/v1/accounts/{top['id']}", {"parent_id": child["id"]}, if_match=1)
    assert moved.status_code == 200, moved.text
    before = await owner.ok("GET", f"/v1/accounts/{child['id']}")
    counts, reasons = await undo(company, done)
    assert (counts, len(reasons)) == (counted(restored=0, kept=1), 1)
    assert await owner.ok("GET", f"/v1/accounts/{child['id']}") == before


async def test_nothing_goes_back_to_somebody_who_has_left(
    company: Company, owner: Client, look: Look
) -> None:
    leaver = await colleague(company, look)
    id = leaver.facts["member_id"]
    account = await make(owner, "accounts", name="Ours", external_id="a", owner_id=id)
    text = f"external_id,owner_id\na,{company.member_id}\n"
    done = await changed(company, "accounts", text, changes=1)
    member = await owner.ok("GET", f"/v1/members/{id}")
    await owner.ok("POST", f"/v1/members/{id}/deactivate", json={}, if_match=member["version"])
    before = await owner.ok("GET", f"/v1/accounts/{account['id']}")
    counts, reasons = await undo(company, done)
    assert (counts, len(reasons)) == (counted(restored=0, kept=1), 1)
    assert reasons[0].endswith("is no active member.")
    assert await owner.ok("GET", f"/v1/accounts/{account['id']}") == before


async def test_custom_fields_that_go_back_are_found_by_their_former_values(
    company: Company, owner: Client
) -> None:
    for key, unique in (("badge", True), ("tier", False)):
        field = {"object": "account", "key": key, "type": "text", "labels": {"en": key}, "indexed": True}
        await owner.ok("POST", "/v1/custom-fields", json=field | {"unique": unique})
    for key in ("a", "b"):
        custom = {"badge": f"old-{key}", "tier": "silver"}
        await make(owner, "accounts", name=key, external_id=key, custom=custom)
    text = "external_id,custom.badge,custom.tier\na,new-a,gold\nb,new-b,gold\n"
    done = await changed(company, "accounts", text, changes=2)
    await make(owner, "accounts", name="Taker", custom={"badge": "old-b", "tier": "bronze"})
    assert await undo(company, done) == (
        counted(restored=1, kept=1),
        ["3: Another record already has this badge."],
    )

    async def named(key: str, value: str) -> list[str]:
        page = await owner.ok("GET", f"/v1/accounts?custom.{key}={value}&sort=name")
        return [one["name"] for one in page["data"]]

    assert await named("tier", "silver") == ["a"]
    assert await named("tier", "gold") == ["b"]
    assert await named("badge", "old-a") == ["a"]
    assert await named("badge", "old-b") == ["Taker"]
    assert await named("badge", "new-b") == ["b"]
    free = await owner.post("/v1/accounts", {"name": "Next", "custom": {"badge": "new-a"}})
    assert free.status_code == 201, free.text
