"""Erasing a company: at once for its people, in steps that go on after any interruption, and not undone by a restore."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import orjson
import pytest

from app.kernel.jobs import JobRunner
from app.kernel.schedules import ScheduledRun
from app.tenants.billing import api_calls
from app.tenants.leaving import erase_list
from app.tenants.leaving.certificates import certificate_of
from app.tenants.leaving.erase_list import ErasuresNotReapplied, path_of, require_applied, unapplied
from app.tenants.leaving.erasure import KEPT, Erasure, Erasures, erase_due, sweep_erased
from app.tenants.lifecycle.schedule import advance
from app.tenants.operators.keys import create_key
from tests.support.api import Client, running, sign_up, stranger
from tests.support.copying import kept_aside, put_back, rows_of
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.leaving.support import begun, erased, finish
from tests.tenants.people import code_of

pytestmark = pytest.mark.usefixtures("rival")
REASON = "Asked for by their owner"


@pytest.fixture
async def operator(app) -> Client:
    made = await create_key(app.kernel, "Sam Support")
    return Client(stranger(app).http, token=made.key)


# -- from the outside ----------------------------------------------------------------------------------------


async def test_from_the_request_on_nobody_gets_in_and_in_the_end_only_the_certificate_is_left(
    operator, company, rival, app, look
):
    base = f"/v1/operator/tenants/{company.tenant_id}"
    slug = (await operator.ok("GET", base))["slug"]
    await company.owner.ok("POST", "/v1/accounts", json={"name": "Gone Ltd"})
    others = await fingerprint(look.connection, rival.tenant_id)
    asked = await operator.ok("POST", f"{base}/erasure", json={"slug": slug, "reason": REASON})
    assert (asked["completed_at"], asked["certificate"]) == (None, None)
    assert (await company.owner.get("/v1/tenant")).status_code in (401, 403)
    assert code_of(await operator.get(base)) == (404, "not_found")
    again = await operator.post(f"{base}/erasure", {"slug": slug, "reason": REASON})
    assert code_of(again) == (404, "not_found")
    await erase_due(ScheduledRun(app.kernel))
    await api_calls.flush(app.kernel)  # what was counted before is not written of who is gone
    done = await operator.ok("GET", f"/v1/operator/erasures/{company.tenant_id}")
    assert (done["valid"], done["requested_by"], done["reason"]) == (True, "Sam Support", REASON)
    assert done["certificate"]["rows"]["customers.accounts"] == 1
    assert done["certificate"]["audit"]["entries"] >= 2
    assert len(done["certificate"]["audit"]["hash"]) == 64
    assert (await rows_of(look.connection, company.tenant_id)).keys() <= KEPT.keys()
    assert code_of(await company.owner.get("/v1/tenant")) == (401, "unauthenticated")
    session = {"email": company.email, "password": "correct horse battery staple"}
    assert (await stranger(app).post("/v1/sessions", session)).status_code == 401
    assert changes(others, await fingerprint(look.connection, rival.tenant_id)) == {}


async def test_a_wrong_slug_erases_nobody(operator, company, look):
    before = await fingerprint(look.connection, company.tenant_id)
    body = {"slug": "another-company", "reason": REASON}
    answer = await operator.post(f"/v1/operator/tenants/{company.tenant_id}/erasure", body)
    assert answer.status_code == 422
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}
    await company.owner.ok("GET", "/v1/me")


async def test_what_was_never_erased_has_no_certificate(operator, company):
    for id in (company.tenant_id, uuid4()):
        assert code_of(await operator.get(f"/v1/operator/erasures/{id}")) == (404, "not_found")


async def test_a_cancelled_account_goes_when_its_export_window_is_over(company, app, look):
    over = datetime.now(UTC) - timedelta(seconds=1)
    await look.run(
        "UPDATE tenants.tenants SET status = 'cancelled', export_until = $2 WHERE id = $1",
        company.tenant_id,
        over,
    )
    assert await advance(app.kernel, company.tenant_id) is True
    await finish(app.kernel)
    found = await certificate_of(app.kernel, company.tenant_id)
    assert (found.valid, found.document["requested_by"]) == (True, "schedule")
    assert found.document["reason"] == "the export window is over"
    assert (await rows_of(look.connection, company.tenant_id)).keys() <= KEPT.keys()


async def test_somebody_who_works_elsewhere_too_stays_who_they_are(company, app, look):
    other = await company.owner.ok("GET", "/v1/me")
    form = {
        "company": "Second",
        "name": "Olivia",
        "email": company.email,
        "password": "correct horse battery staple",
    }
    second = await stranger(app).ok("POST", "/v1/sign-up", json=form)
    document = await erased(app.kernel, company.tenant_id)
    assert document["users"] == 0
    session = await stranger(app).ok("POST", "/v1/sessions", json={k: form[k] for k in ("email", "password")})
    assert (session["tenant_id"], other["user_id"]) == (
        second["tenant_id"],
        str(await _user(look, form["email"])),
    )


async def _user(look, email: str) -> object:
    return await look.value("SELECT id FROM tenants.users WHERE email = $1", email)


# -- interrupted ---------------------------------------------------------------------------------------------


async def test_it_goes_on_wherever_it_was_cut_off_and_counts_each_row_once(company, app, look, monkeypatch):
    for number in range(30):
        await company.owner.ok("POST", "/v1/accounts", json={"name": f"Account {number}"})
    id = await begun(app.kernel, company.tenant_id)
    before = await rows_of(look.connection, company.tenant_id)
    whole = Erasure._table

    left = {"customers.accounts", "tenants.sessions", "tenants.roles", "kernel.outbox", "tenants.tenants"}

    async def cut_off(self: Erasure, tenant_id, name: str) -> int:
        deleted: int = await whole(self, tenant_id, name)
        if deleted and name in left:
            left.remove(name)
            raise ConnectionResetError(name)
        return deleted

    monkeypatch.setattr(Erasure, "_table", cut_off)
    for _ in range(5):
        with pytest.raises(ConnectionResetError):
            await Erasure(app.kernel, id, batch=4).run()
    document = await Erasure(app.kernel, id, batch=4).run()
    for name in ("customers.accounts", "tenants.members", "tenants.roles", "tenants.sessions"):
        assert document["rows"][name] == before[name], name
    assert (await rows_of(look.connection, company.tenant_id)).keys() <= KEPT.keys()
    assert await Erasure(app.kernel, id).run() == document, "what is over is over"


async def test_several_that_erase_at_once_make_one_certificate(company, app, look):
    for number in range(20):
        await company.owner.ok("POST", "/v1/accounts", json={"name": f"Account {number}"})
    id = await begun(app.kernel, company.tenant_id)
    found = await asyncio.gather(*(Erasure(app.kernel, id, batch=3).run() for _ in range(3)))
    assert found[0] == found[1] == found[2]
    assert found[0]["rows"]["customers.accounts"] == 20


async def test_whoever_writes_meanwhile_leaves_nothing_behind(company, app, look):
    begun, stop = asyncio.Event(), asyncio.Event()

    async def write() -> int:
        written = 0
        while not stop.is_set():
            answer = await company.owner.post("/v1/accounts", {"name": f"Late {uuid4().hex}"})
            written += answer.status_code == 201
            begun.set()
            await asyncio.sleep(0.1 if answer.is_error else 0)
            assert answer.status_code in (201, 401, 403)
        return written

    writers = [asyncio.create_task(write()) for _ in range(4)]
    await begun.wait()
    document = await erased(app.kernel, company.tenant_id)
    stop.set()
    written = sum(await asyncio.gather(*writers))
    assert document["rows"].get("customers.accounts", 0) == written > 0
    await JobRunner(app.kernel).run_due()
    await sweep_erased(ScheduledRun(app.kernel))
    assert (await rows_of(look.connection, company.tenant_id)).keys() <= KEPT.keys()


async def test_a_running_job_is_waited_for(company, app, look):
    until = app.kernel.clock.now() + timedelta(seconds=40)
    await company.owner.ok("POST", "/v1/tenant/export")
    await look.run(
        "UPDATE kernel.jobs SET state = 'running', locked_by = 'w', locked_until = $2 WHERE tenant_id = $1",
        company.tenant_id,
        until,
    )
    id = await begun(app.kernel, company.tenant_id)
    assert id not in await Erasures(app.kernel).open()
    with pytest.raises(Exception, match="Jobs of the company are still being stopped"):
        await Erasure(app.kernel, id).run()
    assert (await look.rows("SELECT locked_by FROM kernel.jobs WHERE tenant_id = $1", company.tenant_id))[0][
        0
    ] == "erasure"
    await look.run("UPDATE tenants.erasures SET not_before = now() WHERE id = $1", id)
    await Erasure(app.kernel, id).run()


async def test_rows_of_nobody_else_can_be_erased_and_none_without_an_erasure(company, app):
    sql = "SELECT tenants.erase_rows($1, 'customers.accounts', 10)"
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no erasure of this tenant"):
        async with app.kernel.database.control() as connection:
            await connection.fetchval(sql, company.tenant_id)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        async with app.kernel.database.tenant(company.tenant_id) as connection:
            await connection.fetchval(sql, company.tenant_id)


# -- certificates and restores -------------------------------------------------------------------------------


async def test_a_certificate_that_was_changed_does_not_fit(company, rival, app, look):
    await erased(app.kernel, company.tenant_id)
    await erased(app.kernel, rival.tenant_id)
    assert (await certificate_of(app.kernel, company.tenant_id)).valid
    await look.run(
        "UPDATE tenants.erasures SET certificate = jsonb_set(certificate, '{rows,customers.accounts}', '5')"
        " WHERE tenant_id = $1",
        company.tenant_id,
    )
    assert not (await certificate_of(app.kernel, company.tenant_id)).valid
    await look.run(
        "UPDATE tenants.erasures e SET certificate = o.certificate, signature = o.signature FROM tenants.erasures o"
        " WHERE e.tenant_id = $1 AND o.tenant_id = $2",
        company.tenant_id,
        rival.tenant_id,
    )
    assert not (await certificate_of(app.kernel, company.tenant_id)).valid, (
        "another company's is none of this one's"
    )


async def test_a_restored_company_is_not_served_but_erased_again(app, worker_database, look, rival):
    company = await sign_up(app, company="Back Ltd")
    await company.owner.ok("POST", "/v1/accounts", json={"name": "Back"})
    backup = await kept_aside(look.connection, company.tenant_id)
    user = await look.value("SELECT to_jsonb(u)::text FROM tenants.users u WHERE email = $1", company.email)
    await erased(app.kernel, company.tenant_id)
    others = await fingerprint(look.connection, rival.tenant_id)

    await look.run("DELETE FROM tenants.erasures WHERE tenant_id = $1", company.tenant_id)
    await look.run(
        "INSERT INTO tenants.users SELECT * FROM jsonb_populate_record(NULL::tenants.users, $1::jsonb)", user
    )
    await put_back(look.connection, backup)
    assert (await rows_of(look.connection, company.tenant_id))["customers.accounts"] == 1

    assert (await unapplied(app.kernel)).keys() == {company.tenant_id}
    with pytest.raises(ErasuresNotReapplied, match="reapply-erasures"):
        async with running(worker_database, app.settings.data_dir):
            raise AssertionError("it serves")
    assert await Erasures(app.kernel).reapply() == [company.tenant_id]
    await finish(app.kernel)
    await require_applied(app.kernel)
    left = await rows_of(look.connection, company.tenant_id)
    assert left.keys() <= KEPT.keys()
    found = await certificate_of(app.kernel, company.tenant_id)
    assert (found.valid, found.document["reason"], found.document["users"]) == (True, "They asked for it", 1)
    assert changes(others, await fingerprint(look.connection, rival.tenant_id)) == {}
    async with running(worker_database, app.settings.data_dir):
        pass


async def test_lines_that_nobody_signed_erase_nobody(app, company, look):
    path: Path = path_of(app.settings)
    before = await fingerprint(look.connection, company.tenant_id)
    document = {"tenant_id": str(company.tenant_id), "requested_at": "2026-01-01T00:00:00+00:00",
                "requested_by": "Mallory", "reason": "spite"}  # fmt: skip
    forged = {"kind": "erasure", "document": document, "key_id": "A" * 43, "signature": "A" * 86}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(orjson.dumps(forged) + b'\n{"kind": "torn')
    assert company.tenant_id not in await unapplied(app.kernel)
    await Erasures(app.kernel).reapply()
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}
    erase_list.append(app.kernel, erase_list.BEGUN, document)
    assert [line.tenant_id for line in erase_list.read(app.kernel)][-1] == company.tenant_id, (
        "behind a torn line"
    )
    await Erasures(app.kernel).reapply()
    await finish(app.kernel)
    assert (await certificate_of(app.kernel, company.tenant_id)).valid
