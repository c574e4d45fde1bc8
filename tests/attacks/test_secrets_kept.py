"""A secret that is shown once is kept nowhere in a form that can be read, whatever the caller sends along."""

from __future__ import annotations

from app.kernel.jobs import JobRunner
from tests.tenants.people import unique_email


async def test_a_webhook_secret_is_kept_under_an_idempotency_key_only_encrypted(owner, company, look):
    body = {"url": "https://example.com/hook", "event_types": ["leads.lead.created.v1"]}
    made = await owner.ok("POST", "/v1/webhook-endpoints", json=body, key="hook-1")
    assert made["secret"].startswith("whsec_")
    path = f"/v1/webhook-endpoints/{made['id']}/rotate-secret"
    rotated = await owner.ok("POST", path, json={"overlap_hours": 1}, key="hook-2")
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    again = await owner.ok("POST", path, json={"overlap_hours": 1}, key="hook-2")
    assert again == rotated
    stored = "SELECT count(*) FROM kernel.idempotency_keys WHERE tenant_id = $1"
    assert await look.value(stored, company.tenant_id) == 2
    for table in ("kernel.idempotency_keys", "kernel.audit_entries", "kernel.outbox", "kernel.jobs"):
        rows = await look.rows(
            f"SELECT to_jsonb(t)::text AS row FROM {table} t WHERE tenant_id = $1", company.tenant_id
        )
        assert not [row["row"] for row in rows if "whsec_" in row["row"]], table


async def test_an_api_key_that_is_asked_for_twice_is_one_and_stands_nowhere(owner, company, look):
    before = len((await owner.ok("GET", "/v1/api-keys"))["data"])
    made = await owner.ok("POST", "/v1/api-keys", json={"name": "Robot"}, key="key-1")
    assert await owner.ok("POST", "/v1/api-keys", json={"name": "Robot"}, key="key-1") == made
    assert len((await owner.ok("GET", "/v1/api-keys"))["data"]) == before + 1
    for table in ("kernel.idempotency_keys", "kernel.audit_entries"):
        rows = await look.rows(
            f"SELECT to_jsonb(t)::text AS row FROM {table} t WHERE tenant_id = $1", company.tenant_id
        )
        assert rows
        assert not [row["row"] for row in rows if made["key"] in row["row"]]


async def test_a_mailed_link_is_wiped_from_the_queue_once_the_mail_is_out(owner, company, look):
    email = unique_email("newcomer")
    await owner.ok("POST", "/v1/invitations", json={"email": email, "name": "New Comer"}, key="invite-1")
    token = await look.mailed_token(email)
    await JobRunner(company.app.kernel).run_due()
    rows = await look.rows(
        "SELECT state, payload::text AS payload FROM kernel.jobs WHERE tenant_id = $1 AND name = 'mail.send'",
        company.tenant_id,
    )
    assert {(row["state"], row["payload"]) for row in rows} == {("completed", "{}")}
    for table in ("kernel.idempotency_keys", "kernel.audit_entries", "kernel.outbox", "kernel.jobs"):
        kept = await look.rows(
            f"SELECT to_jsonb(t)::text AS row FROM {table} t WHERE tenant_id = $1", company.tenant_id
        )
        assert not [row["row"] for row in kept if token in row["row"]], table


async def test_a_mail_that_is_cancelled_before_it_left_is_wiped_too(owner, company, look):
    email = unique_email("newcomer")
    await owner.ok("POST", "/v1/invitations", json={"email": email, "name": "New Comer"})
    job = await look.value(
        "SELECT id FROM kernel.jobs WHERE tenant_id = $1 AND name = 'mail.send' AND payload->>'to' = $2",
        company.tenant_id,
        email,
    )
    await owner.ok("POST", f"/v1/jobs/{job}/cancel")
    row = (await look.rows("SELECT state, payload::text AS payload FROM kernel.jobs WHERE id = $1", job))[0]
    assert (row["state"], row["payload"]) == ("cancelled", "{}")
