"""Files on cases, merging cases, and splitting them."""

from __future__ import annotations

from typing import Any

from tests.modules.after_sales.cases.cases import again, case_of, step, stepped
from tests.modules.support import count
from tests.support.api import Company

Json = dict[str, Any]


async def test_whoever_reads_a_case_opens_its_files(company: Company) -> None:
    owner = company.owner
    case = await case_of(owner)
    file = await owner.ok("POST", "/v1/files", files={"file": ("seal.txt", b"broken", "text/plain")})
    path = f"/v1/cases/{case['id']}/attachments"
    made = await owner.ok("POST", path, json={"file_id": file["id"], "public": True})
    assert (made["name"], made["size"], made["public"]) == ("seal.txt", 6, True)
    assert (await owner.post(path, json={"file_id": file["id"]})).status_code == 409
    assert (await owner.ok("GET", path))["data"] == [made]
    content = await owner.get(f"{path}/{made['id']}/content")
    assert content.content == b"broken"
    other = await case_of(owner)
    assert (await owner.get(f"/v1/cases/{other['id']}/attachments/{made['id']}/content")).status_code == 404
    await owner.ok("DELETE", f"{path}/{made['id']}")
    assert (await owner.ok("GET", path))["data"] == []


async def test_cases_about_the_same_thing_become_one(company: Company) -> None:
    owner = company.owner
    kept, other = await case_of(owner), await case_of(owner, subject="Leak!", type="incident")
    part = await case_of(owner, parent_id=other["id"])
    for case in (kept, other):
        await owner.ok("POST", f"/v1/cases/{case['id']}/comments", json={"body": case["subject"]})
    both = [{"id": one["id"], "version": one["version"]} for one in (kept, other)]
    body = {"records": both, "master_id": kept["id"]}
    merge = (await owner.ok("POST", "/v1/cases/merge", json=body))["merge"]
    merged = await again(owner, kept)
    assert (merged["type"], merged["subject"]) == ("incident", "The pump leaks")
    said = (await owner.ok("GET", f"/v1/cases/{kept['id']}/comments"))["data"]
    assert [one["body"] for one in said] == ["The pump leaks", "Leak!"]
    assert (await again(owner, part))["parent_id"] == kept["id"]
    assert (await again(owner, other))["id"] == kept["id"]  # its old address answers with the one that stays
    await owner.ok("POST", f"/v1/merges/{merge['id']}/undo", if_match=merge["version"])
    said = (await owner.ok("GET", f"/v1/cases/{other['id']}/comments"))["data"]
    assert [one["body"] for one in said] == ["Leak!"]
    assert (await again(owner, part))["parent_id"] == other["id"]


async def test_what_ended_is_not_merged(company: Company) -> None:
    owner = company.owner
    kept, ended = await case_of(owner), await stepped(owner, await case_of(owner), "resolve")
    both = [{"id": one["id"], "version": one["version"]} for one in (kept, ended)]
    answer = await owner.post("/v1/cases/merge", json={"records": both, "master_id": kept["id"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "case_ended")
    assert (await again(owner, ended))["id"] == ended["id"]


async def test_a_merge_makes_no_case_a_part_of_itself(company: Company) -> None:
    owner = company.owner
    top = await case_of(owner)
    middle = await case_of(owner, parent_id=top["id"])
    leaf = await case_of(owner, parent_id=middle["id"])
    both = [{"id": one["id"], "version": one["version"]} for one in (leaf, top)]
    answer = await owner.post("/v1/cases/merge", json={"records": both, "master_id": leaf["id"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "case_circular")
    assert (await again(owner, middle))["parent_id"] == top["id"]


async def test_a_part_of_a_case_becomes_a_case_of_its_own(company: Company, account: Json) -> None:
    owner = company.owner
    case = await case_of(owner, account_id=account["id"], priority="high", type="incident")
    comments = [
        await owner.ok("POST", f"/v1/cases/{case['id']}/comments", json={"body": text, "public": False})
        for text in ("It leaks", "The invoice is wrong")
    ]
    body = {"subject": "Invoice", "comment_ids": [comments[1]["id"]]}
    made = await stepped(owner, case, "split", body)
    assert (made["split_from_id"], made["account_id"], made["priority"], made["status"]) == (
        case["id"],
        account["id"],
        "high",
        "new",
    )
    assert made["owner_id"] == case["owner_id"]
    for one, text in ((case, "It leaks"), (made, "The invoice is wrong")):
        said = (await owner.ok("GET", f"/v1/cases/{one['id']}/comments"))["data"]
        assert [comment["body"] for comment in said] == [text]
    refused = await step(owner, case, "split", body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/comment_ids")
    assert await count(company, "after_sales.cases") == 2
