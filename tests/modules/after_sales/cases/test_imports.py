"""Cases from files: the past is as it was told, and no promise begins before the import."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.kernel.clock import FixedClock
from tests.modules.after_sales.cases.cases import again, case_of
from tests.modules.after_sales.sla.sla import policy_of, sweep
from tests.modules.catalog.goods import imported
from tests.modules.support import make
from tests.support.api import Company
from tests.support.importing import changed, counted, undo

Json = dict[str, Any]
FILE = """external_id,subject,account,status,priority,created,closed
C-1,Leaking,Harbour Pumps,closed,high,2024-03-01T09:00:00Z,2024-03-02T09:00:00Z
C-2,Noisy,A-7,open,urgent,2025-12-01T09:00:00Z,
C-3,New one,A-7,,,,
C-4,No end,A-7,closed,,2024-03-01T09:00:00Z,
C-5,Nobody's,Nobody,,,,
C-6,Backwards,A-7,closed,,2024-03-01T09:00:00Z,2024-02-01T09:00:00Z
C-7,Odd,A-7,lost,,,
"""


async def test_a_file_brings_cases_whose_clocks_do_not_run_in_the_past(
    company: Company, account: Json, clock: FixedClock
) -> None:
    owner = company.owner
    clock.set(datetime(2026, 3, 2, 10, tzinfo=UTC))
    await make(owner, "accounts", name="Account A-7", external_id="A-7")
    await policy_of(owner, first_response_minutes=30, resolution_minutes=120)
    done, refused = await imported(company, "cases", FILE, key="external_id", mode="create")
    assert (done["created"], done["failed"]) == (3, 4), refused
    assert sorted((row, code) for row, _, code in refused) == [
        ("5", "not_in_order"), ("6", "unknown_reference"), ("7", "not_in_order"), ("8", "enum"),
    ]  # fmt: skip
    rows = {one["external_id"]: one for one in (await owner.ok("GET", "/v1/cases"))["data"]}
    old, running, new = (rows[key] for key in ("C-1", "C-2", "C-3"))
    assert (old["account_id"], old["status"], old["priority"], old["opened_at"], old["closed_at"]) == (
        account["id"], "closed", "high", "2024-03-01T09:00:00Z", "2024-03-02T09:00:00Z",
    )  # fmt: skip
    assert (running["status"], running["opened_at"], new["status"]) == ("open", "2025-12-01T09:00:00Z", "new")
    assert len({one["number"] for one in rows.values()}) == 3
    for one in (running, new):
        detail = await owner.ok("GET", f"/v1/cases/{one['id']}")
        assert {k["target"]: (k["started_at"], k["due_at"]) for k in detail["clocks"]} == {
            "first_response": ("2026-03-02T10:00:00Z", "2026-03-02T10:30:00Z"),
            "resolution": ("2026-03-02T10:00:00Z", "2026-03-02T12:00:00Z"),
        }
        assert (detail["due_at"], detail["sla_failed"]) == ("2026-03-02T10:30:00Z", False)
    detail = await owner.ok("GET", f"/v1/cases/{old['id']}")
    assert (detail["clocks"], detail["due_at"], detail["sla_failed"]) == ([], None, False)
    await sweep(company)
    assert not (await owner.ok("GET", f"/v1/cases/{running['id']}"))["sla_failed"]


async def test_the_undo_makes_no_case_a_part_of_its_own_part(company: Company) -> None:
    owner = company.owner
    top, other = [await case_of(owner) for _ in range(2)]
    part = await case_of(owner, parent_id=top["id"], external_id="part")
    text = f"external_id,parent_id\npart,{other['id']}\n"
    done = await changed(company, "cases", text, changes=1)
    await owner.ok("PATCH", f"/v1/cases/{top['id']}", json={"parent_id": part["id"]}, if_match=1)
    before = await again(owner, part)
    assert await undo(company, done) == (
        counted(restored=0, kept=1),
        ["2: That case is a part of this one."],
    )
    assert await again(owner, part) == before
