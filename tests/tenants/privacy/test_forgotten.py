"""Somebody who is in every module is forgotten: no table and no file of their company has a word of them.

But for what stands on issued invoices, which the law wants unchanged.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.kernel.audit_seal import verify
from app.kernel.jobs import JobRunner
from tests.contracts.world import World
from tests.support.api import sign_up
from tests.support.kernel import all_is_sealed
from tests.tenants.privacy.planted import WORD, Planting
from tests.tenants.privacy.support import answered, asked, files_with, tables_with

KEPT = {
    "orders.invoices": {"customer_name", "reference"},
    "orders.invoice_lines": {"description"},
    "orders.orders": {"billing_address"},
}


def columns_with(rows: list[str], text: str) -> set[str]:
    """The columns of rows as JSON that have a text in them."""
    return {
        name
        for row in rows
        for name, value in orjson.loads(row).items()
        if text.lower() in str(value).lower()
    }


@pytest.mark.slow
async def test_no_table_and_no_file_has_a_word_of_somebody_who_was_erased(app, look, rival):
    company = await sign_up(app)
    world = World(company, look, "plain")
    planting = Planting(world)
    await planting.person()
    await planting.activities()
    await planting.selling()
    await planting.serving()
    await planting.loyalty()
    await planting.capturing()
    await JobRunner(app.kernel).run_due()
    await all_is_sealed(app.kernel, company.tenant_id)

    subjects = [(name, world.ids[f"{name}s"]) for name in ("contact", "lead", "account")]
    subjects.append(("lead", world.ids["mailed"]))
    before = await tables_with(look.connection, company.tenant_id, WORD)
    assert len(before) >= 45, sorted(before)
    export = await asked(company.owner, "export", *subjects)
    export = await answered(company.owner, app.kernel, export["id"])
    text = (await company.owner.get(export["content"])).text
    assert all(
        f'"table":"{table}"' in text for table in before if not table.startswith(("kernel.", "tenants."))
    ), sorted(t for t in before if f'"table":"{t}"' not in text)

    draft = await asked(company.owner, "erasure", *subjects, reason=f"{WORD} asked")
    done: Any = await answered(company.owner, app.kernel, draft["id"])
    left = await tables_with(look.connection, company.tenant_id, WORD)
    assert {name: columns_with(rows, WORD) for name, rows in left.items()} == KEPT
    assert await files_with(app.kernel, company.tenant_id, WORD) == []
    proof = await company.owner.ok("GET", f"/v1/privacy/requests/{done['id']}/certificate")
    assert proof["valid"]

    await all_is_sealed(app.kernel, company.tenant_id)
    report = await verify(app.kernel, company.tenant_id)
    assert (report.intact, report.redacted > 20, report.unsealed) == (True, True, 0), report
