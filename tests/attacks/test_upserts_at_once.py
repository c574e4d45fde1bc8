"""Upserts that meet: batches, imports, and imports that block duplicates."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from zlib import crc32

from app.kernel.jobs import JobRunner
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.support.importing import custom_field


async def test_upserts_by_a_unique_field_at_once(company: Company, owner: Client) -> None:
    for key, kind in (
        ("badge", "text"),
        ("mail", "email"),
        ("tel", "phone"),
        ("day", "date"),
        ("num", "decimal"),
    ):
        await custom_field(owner, key, kind, unique=True)
    values: dict[str, list[list[Any]]] = {
        "badge": [["编号一", " 编号一 "], ["编号二", "编号二"]],
        "mail": [["A@x.example", "a@X.example"], ["b@x.example", "B@x.example"]],
        "tel": [["+86 139 1234 5678", "+8613912345678"], ["+86 139 1234 5679", "+8613912345679"]],
        "day": [["2026-01-31", "2026-01-31"], ["2026-02-01", "2026-02-01"]],
        "num": [["1.50", "1.5"], [2, "2.0"]],
    }
    answers: Counter[Any] = Counter()

    async def upsert(key: str, turn: int) -> None:
        items = [
            {
                "key": f"custom.{key}",
                "record": {"name": f"{key} {n} 公司{'甲乙丙丁'[n]}", "custom": {key: v[turn % 2]}},
            }
            for n, v in enumerate(values[key])
        ]
        if turn % 3 == 0:
            items.reverse()
        answer = await owner.post("/v1/accounts/batch/upsert", {"items": items})
        if answer.status_code != 207:
            answers[answer.status_code, answer.text[:200]] += 1
            return
        for one in answer.json()["results"]:
            answers[one["status"], str((one["error"] or {}).get("detail"))] += 1

    await asyncio.gather(*(upsert(key, turn) for turn in range(24) for key in values))
    assert answers == {(201, "None"): 10, (200, "None"): 230}, answers


async def test_imports_upserting_one_unique_value_at_once(company: Company, owner: Client) -> None:
    await custom_field(owner, "badge", unique=True)
    for name in "ab":
        text = "name,custom.badge\n" + "".join(f"{name}{n},编号{n}\n" for n in range(400))
        data = {"object": "accounts", "mode": "upsert", "key": "custom.badge"}
        made = await owner.post("/v1/imports", data=data, files={"file": ("f.csv", text.encode())})
        assert made.status_code == 202, made.text
    await asyncio.gather(*(JobRunner(company.kernel).run_due() for _ in range(2)))
    found = (await owner.ok("GET", "/v1/imports"))["data"]
    got = [(one["state"], one["created"], one["updated"], one["failed"]) for one in found]
    assert sorted(got, key=str) == [("completed", 0, 400, 0), ("completed", 400, 0, 0)], got


async def test_blocking_imports_meet_everybody(company: Company, owner: Client) -> None:
    for kind in ("account", "contact", "lead"):
        await owner.ok("PUT", f"/v1/duplicate-rules/{kind}", json={"action": "block"}, if_match=0)
    leads = [
        await make(
            owner,
            "leads",
            name=f"Qx{crc32(str(n).encode())}",
            company=f"Unternehmen{n * 7919}",
            email=f"l{n}@q{n}.example",
        )
        for n in range(12)
    ]
    for n in range(20):
        await make(owner, "accounts", name=f"Zk{crc32(f'z{n}'.encode())}", external_id=f"e{n}")
    for o, mode in (("accounts", "upsert"), ("contacts", "upsert"), ("accounts", "upsert")):
        text = "external_id,name,email\n" + "".join(
            f"e{n},Imp{n * 15485863},i{n}@i{n}.example\n" for n in range(640)
        )
        data = {"object": o, "mode": mode, "duplicate_rule": "block"}
        assert (
            await owner.post("/v1/imports", data=data, files={"file": ("f.csv", text.encode())})
        ).status_code == 202
    seen: Counter[Any] = Counter()

    async def batch(k: int) -> None:
        ids = (
            [f"e{(k * 3 + n) % 20}" for n in range(3)]
            + [f"k{k}-{n}" for n in range(3)]
            + [f"s{n}" for n in range(3)]
        )
        if k % 2:
            ids.reverse()
        items = [
            {"key": "external_id", "record": {"external_id": i, "name": f"Bt {crc32(i.encode())}"}}
            for i in ids
        ]
        a = await owner.post("/v1/accounts/batch/upsert", {"items": items})
        seen["batch", a.status_code, "" if a.status_code == 207 else a.text[:200]] += 1

    async def create(k: int) -> None:
        a = await owner.post(
            "/v1/contacts", {"name": f"Per {crc32(f'p{k}'.encode())}", "email": f"i{k}@i{k}.example"}
        )
        seen["create", a.status_code, "" if a.status_code < 300 else a.text[:90]] += 1

    async def convert(lead: Any) -> None:
        a = await owner.post(f"/v1/leads/{lead['id']}/convert", {}, if_match=lead["version"])
        seen["convert", a.status_code, "" if a.status_code < 300 else a.text[:200]] += 1

    await asyncio.gather(
        *(JobRunner(company.kernel).run_due() for _ in range(3)),
        *(batch(k) for k in range(20)), *(create(k) for k in range(20)), *(convert(x) for x in leads),
    )  # fmt: skip
    found = [
        (o["object"], o["state"], o["created"], o["updated"], o["failed"])
        for o in (await owner.ok("GET", "/v1/imports"))["data"]
    ]
    assert not [k for k in seen if k[1] >= 500]
    emails = Counter(c["email"] for c in (await owner.ok("GET", "/v1/contacts?limit=200"))["data"])
    assert max(emails.values()) == 1
    assert {one[1] for one in found} <= {"completed", "completed_with_errors"}


async def test_an_upsert_that_meets_a_deletion_is_not_refused(company: Company, owner: Client) -> None:
    await custom_field(owner, "badge", unique=True)
    seen: Counter[Any] = Counter()
    for _ in range(12):
        acc = await make(owner, "accounts", name="X", custom={"badge": "一"})

        async def up() -> None:
            item = {"key": "custom.badge", "record": {"name": "Y", "custom": {"badge": "一"}}}
            a = await owner.post("/v1/accounts/batch/upsert", {"items": [item]})
            seen[a.json()["results"][0]["status"] if a.status_code == 207 else a.status_code] += 1

        await asyncio.gather(up(), owner.delete(f"/v1/accounts/{acc['id']}", if_match=1), up())
        for one in (await owner.ok("GET", "/v1/accounts"))["data"]:
            await owner.delete(f"/v1/accounts/{one['id']}", if_match=one["version"])
    assert set(seen) <= {200, 201}, seen
