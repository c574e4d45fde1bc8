"""Orders of jobs and errors of events, whatever state they are in, forget a person who was erased."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from tests.tenants.people import Look
from tests.tenants.privacy.support import erased, tables_with

pytestmark = pytest.mark.usefixtures("rival")

NAME, EMAIL = "Zelda Quimby", "zelda@quimby.example"
LATER = timedelta(days=1)
Json = dict[str, Any]


async def job(
    look: Look, tenant_id: UUID, name: str, payload: Json, state: str, *, error: str | None = None
) -> UUID:
    """A job that is not due before tomorrow, or that somebody else runs."""
    id = uuid4()
    await look.run(
        "INSERT INTO kernel.jobs (tenant_id, id, name, payload, state, run_at, locked_by, locked_until, last_error,"
        " actor_kind, actor_id, created_at, finished_at) VALUES ($1, $2, $3, $4, $5, now() + $6,"
        " CASE WHEN $5 = 'running' THEN 'elsewhere' END, CASE WHEN $5 = 'running' THEN now() + $6::interval END, $7,"
        " 'system', $1, now(), CASE WHEN $5 NOT IN ('queued', 'running') THEN now() END)",
        tenant_id,
        id,
        name,
        orjson.dumps(payload).decode(),
        state,
        LATER,
        error,
    )
    return id


async def found(look: Look, id: UUID) -> tuple[str, Json, str | None]:
    (row,) = await look.rows("SELECT state, payload, last_error FROM kernel.jobs WHERE id = $1", id)
    return row["state"], orjson.loads(row["payload"]), row["last_error"]


async def test_jobs_that_wait_run_or_are_over_forget_who_was_erased(owner, app, company, look):
    person = await owner.ok("POST", "/v1/contacts", json={"name": NAME, "email": EMAIL})
    made = {}
    searched = {"request": {"object": "contacts", "query": f"invoice for {NAME}", "sort": ["-created_at"]}}
    for state in ("queued", "running", "failed", "completed"):
        made[state] = await job(look, company.tenant_id, "exports.run", searched, state, error=f"no {EMAIL}")
    strict = {
        "request": {"object": "contacts", EMAIL: 1}
    }  # nothing that could be exported without the address
    made["unfit"] = await job(look, company.tenant_id, "exports.run", strict, "queued")
    mail = {"invoice_id": str(uuid4()), "language": "en", "to": EMAIL, "subject": "Bill", "text": "Dear you"}
    made["mail"] = await job(
        look, company.tenant_id, "orders.mail_invoice", mail | {"reply_to": None}, "queued"
    )
    made["unknown"] = await job(look, company.tenant_id, "gone.away", {"who": NAME}, "queued")
    other = {"request": {"object": "contacts", "query": "Somebody Else"}}
    made["other"] = await job(look, company.tenant_id, "exports.run", other, "queued")
    about = {"record_id": person["id"]}
    made["id only"] = await job(look, company.tenant_id, "leads.assign", about, "queued")

    done = await erased(owner, app.kernel, ("contact", person["id"]))

    swept = {"request": searched["request"] | {"query": "invoice for [redacted]"}}
    assert {name: await found(look, id) for name, id in made.items()} == {
        "queued": ("queued", swept, "no [redacted]"),
        "running": ("running", swept, "no [redacted]"),
        "failed": ("failed", {}, None),
        "completed": ("completed", {}, None),
        "unfit": ("cancelled", {}, None),
        "mail": ("cancelled", {}, None),
        "unknown": ("cancelled", {}, None),
        "other": ("queued", other, None),
        "id only": ("queued", about, None),
    }
    for word in (NAME, EMAIL):
        assert await tables_with(look.connection, company.tenant_id, word) == {}
    proof = await owner.ok("GET", f"/v1/privacy/requests/{done['id']}/certificate")
    assert proof["certificate"]["copies"]["kernel.jobs"] >= 7
    await look.run("DELETE FROM kernel.jobs WHERE id = ANY($1::uuid[])", list(made.values()))


async def test_errors_of_events_and_answers_of_receivers_forget_who_was_erased(owner, app, company, look):
    person = await owner.ok("POST", "/v1/contacts", json={"name": NAME, "email": EMAIL})
    await look.run(
        "UPDATE kernel.outbox SET dead_at = now(), last_error = $2 WHERE tenant_id = $1 AND record_id = $3",
        company.tenant_id,
        f"ValueError: no such address: {EMAIL}",
        UUID(person["id"]),
    )
    await erased(owner, app.kernel, ("contact", person["id"]))
    errors = await look.rows(
        "SELECT DISTINCT last_error FROM kernel.outbox WHERE tenant_id = $1 AND record_id = $2 AND dead_at IS NOT NULL",
        company.tenant_id,
        UUID(person["id"]),
    )
    assert [row["last_error"] for row in errors] == ["ValueError: no such address: [redacted]"]
    for word in (NAME, EMAIL):
        assert await tables_with(look.connection, company.tenant_id, word) == {}
