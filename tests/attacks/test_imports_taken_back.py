"""Imports that are taken back: what the file wrote several times, what stands upon it, fields that are archived."""

from __future__ import annotations

from typing import Any

from app.kernel.jobs import JobRunner
from tests.kernel.conftest import member_id
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.support.importing import counted, custom_field, imported, undo


async def test_what_one_file_changes_twice_far_apart_is_restored(company: Company, owner: Client) -> None:
    await make(owner, "accounts", name="First", external_id="twice")
    rows = "".join(f"n{n},Filler {n}\n" for n in range(330))
    text = f"external_id,name\ntwice,Second\n{rows}twice,Third\n"
    done = await imported(company, "accounts", text, mode="upsert")
    assert (done["created"], done["updated"]) == (330, 2)
    counts, reasons = await undo(company, done)
    assert (counts["restored"], counts["deleted"], reasons) == (2, 330, [])
    (left,) = (await owner.ok("GET", "/v1/accounts"))["data"]
    assert left["name"] == "First"


async def test_what_one_file_makes_and_changes_is_deleted(company: Company, owner: Client) -> None:
    done = await imported(company, "accounts", "external_id,name\na,One\na,Two\n", mode="upsert")
    assert (done["created"], done["updated"]) == (1, 1)
    counts, reasons = await undo(company, done)
    assert (await owner.ok("GET", "/v1/accounts"))["data"] == [], reasons
    assert counts == {"state": "completed", "deleted": 1, "restored": 0, "kept": 0}


async def test_what_one_file_makes_and_changes_far_apart_is_deleted(company: Company, owner: Client) -> None:
    rows = "".join(f"n{n},Filler {n}\n" for n in range(330))
    text = f"external_id,name\na,One\n{rows}a,Two\n"
    done = await imported(company, "accounts", text, mode="upsert")
    counts, _ = await undo(company, done)
    assert counts == {"state": "completed", "deleted": 331, "restored": 0, "kept": 0}
    assert (await owner.ok("GET", "/v1/accounts"))["data"] == []


async def test_a_tree_of_one_file_is_deleted(company: Company, owner: Client) -> None:
    text = "external_id,name,parent\ntop,Top,\nchild,Child,top\ngrand,Grand,child\n"
    done = await imported(company, "accounts", text)
    assert done["created"] == 3, done
    _, reasons = await undo(company, done)
    assert reasons == []
    assert (await owner.ok("GET", "/v1/accounts"))["data"] == []


async def test_the_undo_leaves_the_index_of_archived_fields_right(company: Company, owner: Client) -> None:
    made = await custom_field(owner, "badge", unique=True)
    await make(owner, "accounts", name="A", external_id="a", custom={"badge": "old"})
    done = await imported(company, "accounts", "external_id,custom.badge\na,new\n", mode="update")
    path = f"/v1/custom-fields/{made['id']}"
    await owner.ok("POST", f"{path}/archive", if_match=made["version"])
    assert await undo(company, done) == (counted(restored=1, kept=0), [])
    await owner.ok("POST", f"{path}/restore", if_match=made["version"] + 1)
    for value, names in (("old", ["A"]), ("new", [])):
        page = await owner.ok("GET", f"/v1/accounts?custom.badge={value}")
        assert [one["name"] for one in page["data"]] == names


async def test_what_somebody_changed_between_two_changes_of_a_file_stays(
    company: Company, owner: Client
) -> None:
    made = await make(owner, "accounts", name="First", external_id="twice")
    rows = "".join(f"n{n},Filler {n}\n" for n in range(330))
    text = f"external_id,name\ntwice,Second\n{rows}twice,Third\n"
    done = await imported(company, "accounts", text, mode="upsert")
    await owner.ok("PATCH", f"/v1/accounts/{made['id']}", json={"name": "Mine"}, if_match=3)
    assert await undo(company, done) == (
        {"state": "completed", "deleted": 330, "restored": 0, "kept": 2},
        ["2: The record has changed since.", "333: The record has changed since."],
    )
    assert (await owner.ok("GET", f"/v1/accounts/{made['id']}"))["name"] == "Mine"


async def test_nobody_takes_back_what_they_may_not_reach_any_more(
    company: Company, owner: Client, hire: Any
) -> None:
    own = {"account:read": "own", "account:update": "own", "account:create": "own", "account:import": "all"}
    importer = await hire(own)
    account = await make(owner, "accounts", name="Old", external_id="a")
    path = f"/v1/accounts/{account['id']}"
    share = {"member_id": member_id(importer), "access": "write"}
    shared = await owner.ok("POST", f"{path}/shares", json=share)
    answer = await importer.post(
        "/v1/imports",
        data={"object": "accounts", "mode": "update"},
        files={"file": ("f.csv", b"external_id,name\na,New\n")},
    )
    await JobRunner(company.kernel).run_due()
    done = await importer.ok("GET", answer.headers["Location"])
    assert done["updated"] == 1
    assert (await owner.delete(f"{path}/shares/{shared['id']}")).status_code == 204
    await importer.ok("POST", f"/v1/imports/{done['id']}/undo")
    await JobRunner(company.kernel).run_due()
    undone = await importer.ok("GET", f"/v1/imports/{done['id']}")
    assert undone["undo"] == counted(restored=0, kept=1)
    assert (await owner.ok("GET", path))["name"] == "New"


async def test_nobody_takes_back_fields_that_their_role_may_not_set_any_more(
    company: Company, owner: Client, hire: Any
) -> None:
    account = await make(owner, "accounts", name="Old", external_id="a")
    importer = await hire(
        dict.fromkeys([f"account:{may}" for may in ("read", "update", "create", "import")], "all")
    )
    answer = await importer.post(
        "/v1/imports",
        data={"object": "accounts", "mode": "update"},
        files={"file": ("f.csv", b"external_id,name\na,New\n")},
    )
    await JobRunner(company.kernel).run_due()
    member = await owner.ok("GET", f"/v1/members/{member_id(importer)}")
    rules = {"field_rules": {"account": {"readonly": ["name"]}}}
    await owner.ok("PATCH", f"/v1/roles/{member['role_ids'][0]}", json=rules, if_match=1)
    await importer.ok("POST", f"{answer.headers['Location']}/undo")
    await JobRunner(company.kernel).run_due()
    undone = await importer.ok("GET", answer.headers["Location"])
    assert undone["undo"] == counted(restored=0, kept=1)
    assert (await owner.ok("GET", f"/v1/accounts/{account['id']}"))["name"] == "New"
