"""Jobs that were queued before an account was closed, or an impersonation was over: which go on, and which wait."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.kernel.access import Actor, system_actor
from app.kernel.jobs import LOOK_AGAIN, JobRunner, actor_of
from app.kernel.mail import MAIL_SEND, Message, post
from app.kernel.uow import transaction
from app.tenants.interface import MovedBy
from app.tenants.lifecycle.moves import move_tenant
from app.tenants.models import TenantStatus
from app.tenants.operators.keys import create_key
from tests.support.api import Client, Company, sign_in, stranger
from tests.tenants.conftest import APRIL
from tests.tenants.lifecycle.conftest import at

GO_ON = {"exports.run", "tenants.export", "tenants.refund", "tenants.withdraw_bill", "mail.send"}
CLAIM = (
    "UPDATE kernel.jobs SET state = 'running', locked_by = $2, locked_until = 'infinity', attempts = attempts + 1"
    " WHERE id = $1 AND state = 'queued' RETURNING *"
)


async def claimed(company: Company, id: UUID, runner: JobRunner) -> Any:
    """The job, as that worker has it from now on."""
    async with company.kernel.database.control() as connection:
        return await connection.fetchrow(CLAIM, id, runner.owner)


async def attempt(company: Company, look: Any, id: UUID) -> tuple[str, int, str | None]:
    """Let a worker take a job, whatever else is due; its state, attempts and what is said of it."""
    runner = JobRunner(company.kernel)
    await runner.work(await claimed(company, id, runner), asyncio.Event())
    [after] = await look.rows("SELECT state, attempts, last_error FROM kernel.jobs WHERE id = $1", id)
    return tuple(after)


async def close(company: Company, to: TenantStatus = TenantStatus.SUSPENDED) -> None:
    await move_tenant(company.kernel, company.tenant_id, to, reason="abuse", by=MovedBy.OPERATOR)


async def reopen(company: Company, clock: Any) -> None:
    await close(company, TenantStatus.ACTIVE)
    clock.advance(seconds=LOOK_AGAIN.total_seconds())


async def imported(company: Company) -> UUID:
    """The job of an import that was begun."""
    files = {"file": ("leads.csv", b"name,country\nAda Lovelace,GB\n", "text/csv")}
    await company.owner.ok("POST", "/v1/imports", data={"object": "leads"}, files=files)
    return await _job(company, "imports.run")


async def _job(company: Company, name: str) -> UUID:
    async with company.kernel.database.control() as connection:
        found: UUID = await connection.fetchval(
            "SELECT id FROM kernel.jobs WHERE tenant_id = $1 AND name = $2", company.tenant_id, name
        )
    return found


def test_every_kind_of_job_says_what_becomes_of_it_while_an_account_is_closed(app):
    kinds = app.kernel.registry.jobs
    assert {name for name, kind in kinds.items() if kind.while_closed} == GO_ON
    assert {name for name, kind in kinds.items() if kind.outlives_session} == {"mail.send"}
    assert {"imports.run", "leads.assign", "leads.score", "quotes.keep_pdf"} <= kinds.keys() - GO_ON


@pytest.mark.parametrize("to", [TenantStatus.SUSPENDED, TenantStatus.CANCELLED])
async def test_an_import_waits_while_the_account_is_closed_and_goes_on_afterwards(april, clock, look, to):
    id = await imported(april)
    await close(april, to)
    code = "tenant_suspended" if to is TenantStatus.SUSPENDED else "tenant_cancelled"
    for _ in range(2):
        state, attempts, said = await attempt(april, look, id)
        assert (state, attempts, (said or "").partition(":")[0]) == ("queued", 0, code)
    assert await look.value("SELECT run_at FROM kernel.jobs WHERE id = $1", id) == APRIL + LOOK_AGAIN
    assert await look.value("SELECT count(*) FROM leads.leads WHERE tenant_id = $1", april.tenant_id) == 0
    shown = await april.owner.ok("GET", f"/v1/jobs/{id}")
    assert (shown["state"], shown["last_error"].partition(":")[0]) == ("queued", code)
    await close(april, TenantStatus.ACTIVE if to is TenantStatus.SUSPENDED else TenantStatus.TRIALING)
    assert (await attempt(april, look, id))[:2] == ("completed", 1)
    assert await look.value("SELECT count(*) FROM leads.leads WHERE tenant_id = $1", april.tenant_id) == 1


async def test_an_export_goes_on_while_the_account_is_closed(april, look):
    begun = await april.owner.post("/v1/exports", {"object": "lead", "format": "ndjson"})
    await close(april)
    assert (await attempt(april, look, await _job(april, "exports.run")))[0] == "completed"
    assert (await april.owner.ok("GET", begun.headers["location"]))["state"] == "completed"


async def test_mails_to_outsiders_wait_and_those_of_the_account_go_out(april, look, app, clock):
    profile = await app.kernel.authenticator.tenant_profile(april.tenant_id)
    message = Message(to="eve@example.com", subject="Our spring sale", text="All must go")
    async with transaction(app.kernel, system_actor(profile)) as uow:
        post(uow, message)
        told = uow.enqueue(MAIL_SEND.name, message.model_dump(exclude_none=True))
    jobs = await look.rows(
        "SELECT id FROM kernel.jobs WHERE tenant_id = $1 AND name = 'mail.send' AND payload ->> 'counted' = 'true'",
        april.tenant_id,
    )
    [outside] = [row["id"] for row in jobs]
    await close(april)
    assert (await attempt(april, look, told))[0] == "completed"
    state, attempts, said = await attempt(april, look, outside)
    assert (state, attempts, said) == (
        "queued", 0,
        "tenant_suspended: This company's account is suspended; only reading, export and payment work",
    )  # fmt: skip
    await reopen(april, clock)
    assert (await attempt(april, look, outside))[0] == "completed"


async def test_an_import_that_runs_when_the_account_is_closed_stops_at_the_next_beat(
    april, look, app, monkeypatch
):
    """The worker looks at each beat of its lease, a third of a minute."""
    begun, id = asyncio.Event(), await imported(april)
    kind = app.kernel.registry.jobs["imports.run"]

    async def endless(context: Any, payload: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    runner = JobRunner(app.kernel, lease=timedelta(seconds=0.3))
    row = await claimed(april, id, runner)
    with monkeypatch.context() as changed:
        changed.setitem(app.kernel.registry.jobs, "imports.run", _with_run(kind, endless))
        working = asyncio.create_task(runner.work(row, asyncio.Event()))
        await asyncio.wait_for(begun.wait(), 60)
        await close(april)
        await working
    [after] = await look.rows("SELECT state, attempts, last_error FROM kernel.jobs WHERE id = $1", id)
    assert (after["state"], after["attempts"], after["last_error"].partition(":")[0]) == (
        "queued",
        0,
        "tenant_suspended",
    )


def _with_run(kind: Any, run: Any) -> Any:
    from dataclasses import replace

    return replace(kind, run=run)


# -- impersonations ------------------------------------------------------------------------------------------


async def begun_in_place_of_the_owner(company: Company) -> tuple[Client, Any, Client]:
    """An operator, the impersonation, and who acts in it."""
    made = await create_key(company.kernel, "Sam Support")
    operator = Client(stranger(company.app).http, token=made.key)
    body = {
        "member_id": str(company.member_id),
        "reason": "They asked for help",
        "minutes": 10,
        "may_write": True,
    }
    found = await operator.ok("POST", f"/v1/operator/tenants/{company.tenant_id}/impersonations", json=body)
    return operator, found, Client(stranger(company.app).http, token=found["access_token"])


@pytest.mark.parametrize("way", ["ended", "expired"])
async def test_an_import_of_an_impersonation_that_is_over_fails_and_says_so(april, look, clock, way):
    operator, found, helper = await begun_in_place_of_the_owner(april)
    as_helper = Company(**{**april.__dict__, "owner": helper})
    id = await imported(as_helper)
    session = await look.value("SELECT session_id FROM kernel.jobs WHERE id = $1", id)
    assert str(session) == found["id"]
    if way == "ended":
        await operator.ok("DELETE", f"/v1/operator/tenants/{april.tenant_id}/impersonations/{found['id']}")
    else:
        clock.advance(seconds=600)
    assert await attempt(april, look, id) == (
        "failed",
        1,
        "The impersonation in which this was begun is over",
    )
    assert await look.value("SELECT count(*) FROM leads.leads WHERE tenant_id = $1", april.tenant_id) == 0


async def test_an_import_of_an_impersonation_that_lasts_is_done(april, look):
    _, _, helper = await begun_in_place_of_the_owner(april)
    id = await imported(Company(**{**april.__dict__, "owner": helper}))
    assert (await attempt(april, look, id))[0] == "completed"
    assert await look.value("SELECT count(*) FROM leads.leads WHERE tenant_id = $1", april.tenant_id) == 1


async def test_a_mail_that_was_written_in_an_impersonation_goes_out_after_it(april, look, app, clock):
    _, found, _ = await begun_in_place_of_the_owner(april)
    actor: Actor = await actor_of(
        app.kernel, april.tenant_id, "impersonation", april.member_id, session_id=UUID(found["id"])
    )
    from dataclasses import replace

    async with transaction(app.kernel, replace(actor, session_id=UUID(found["id"]), read_only=False)) as uow:
        id = uow.enqueue(
            MAIL_SEND.name,
            Message(to="eve@example.com", subject="Hello", text="You").model_dump(exclude_none=True),
        )
    clock.advance(seconds=3_600)
    assert (await attempt(april, look, id))[0] == "completed"
    await at(april, clock, clock.now())
    assert (await sign_in(april.owner, april.email)).token
