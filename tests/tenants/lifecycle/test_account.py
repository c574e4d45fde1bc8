"""The life of an account: trial, cancelling, coming back, and what the clock does."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.clock import FixedClock
from app.kernel.errors import InvalidTransition
from app.kernel.registry import Module
from app.kernel.schedules import ScheduledRun
from app.tenants.billing.locks import hold_billing
from app.tenants.billing.run import bill_all
from app.tenants.directory import reactivate_tenant
from app.tenants.interface import MovedBy, TenantErasure
from app.tenants.lifecycle.moves import MOVES, move, move_tenant, transaction_of
from app.tenants.lifecycle.schedule import run_lifecycle
from app.tenants.models import SuspendedFor, Tenant, TenantStatus
from tests.kernel.conftest import refusal
from tests.support.api import PASSWORD, Company, running, sign_up
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.conftest import APRIL
from tests.tenants.lifecycle.conftest import at, standing
from tests.tenants.people import stranger_from
from tests.tenants.test_sign_in import attempt

DAY = timedelta(days=1)
TRIAL_END = APRIL + 14 * DAY


async def tick(app: Any) -> None:
    await run_lifecycle(ScheduledRun(app.kernel))


async def moves_of(look: Any, company: Company) -> list[tuple[str, str, str]]:
    rows = await look.rows(
        "SELECT data->>'previous' AS a, data->>'status' AS b, data->>'by' AS c FROM kernel.outbox"
        " WHERE tenant_id = $1 AND type = 'tenants.tenant.status_changed.v1' ORDER BY at, id",
        company.tenant_id,
    )
    return [tuple(row) for row in rows]


async def force(look: Any, app: Any, company: Company, status: str, **columns: Any) -> None:
    """Put the account into a status past the moves."""
    for name, value in {"status": status, **columns}.items():
        await look.run(f"UPDATE tenants.tenants SET {name} = $2 WHERE id = $1", company.tenant_id, value)
    app.kernel.authenticator.forget(company.tenant_id)


async def test_a_company_begins_with_two_weeks_of_trial(april):
    assert await standing(april) == {"status": "trialing", "trial_ends_at": "2027-04-15T00:00:00Z"}


async def test_a_trial_is_counted_from_the_full_hour_of_signing_up(app, clock):
    clock.set(APRIL + timedelta(hours=9, minutes=41, seconds=7))
    assert (await standing(await sign_up(app)))["trial_ends_at"] == "2027-04-15T09:00:00Z"


async def test_without_trial_days_a_company_is_billed_at_once(worker_database, tmp_path):
    async with running(worker_database, tmp_path, trial_days=0) as other:
        company = await sign_up(other)
        assert await standing(company) == {"status": "active"}


async def test_when_the_trial_is_over_the_first_period_begins_there(app, april, clock, look):
    await april.owner.ok("PUT", "/v1/billing/subscription", json={"plan": "professional"})
    await at(april, clock, TRIAL_END - timedelta(seconds=1))
    await tick(app)
    assert (await standing(april))["status"] == "trialing"
    await at(april, clock, TRIAL_END + timedelta(hours=7, minutes=3))
    await tick(app)
    await tick(app)
    assert await standing(april) == {"status": "active", "trial_ends_at": "2027-04-15T00:00:00Z"}
    assert await moves_of(look, april) == [("trialing", "active", "schedule")]
    found = await april.owner.ok("GET", "/v1/billing/subscription")
    assert found["period"] == {"start": "2027-04-15T00:00:00Z", "end": "2027-05-15T00:00:00Z"}
    assert found["current"]["plan"] == "professional"
    entry = [e for e in await look.audit(april.tenant_id, "updated") if e["object"] == "tenant"][-1]
    assert (entry["changes"], entry["reason"]) == ({"status": ["trialing", "active"]}, "the trial is over")


async def test_two_hundred_runs_end_a_trial_once(app, april, clock, look):
    clock.set(TRIAL_END)
    await asyncio.gather(*(tick(app) for _ in range(200)))
    assert await moves_of(look, april) == [("trialing", "active", "schedule")]


async def test_a_subscription_is_cancelled_at_the_end_of_what_is_paid(app, april, clock, look):
    await at(april, clock, TRIAL_END)
    await tick(app)
    planned = await april.owner.ok("POST", "/v1/billing/subscription/cancel", json={"reason": "too dear"})
    assert (planned["status"], planned["cancel_at"]) == ("active", "2027-05-15T00:00:00Z")
    taken_back = await april.owner.ok("POST", "/v1/billing/subscription/resume")
    assert (taken_back["status"], taken_back["cancel_at"]) == ("active", None)
    await april.owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": "period_end"})
    clock.set(TRIAL_END + 30 * DAY)
    await tick(app)
    await at(april, clock, TRIAL_END + 30 * DAY)
    assert await standing(april) == {
        "status": "cancelled", "trial_ends_at": "2027-04-15T00:00:00Z",
        "cancelled_at": "2027-05-15T00:00:00Z", "export_until": "2027-06-14T00:00:00Z",
    }  # fmt: skip
    assert (await moves_of(look, april))[-1] == ("active", "cancelled", "schedule")
    planned_events = await look.rows(
        "SELECT data->>'cancel_at' AS at FROM kernel.outbox WHERE tenant_id = $1"
        " AND type = 'tenants.tenant.cancellation_planned.v1' ORDER BY at, id", april.tenant_id,
    )  # fmt: skip
    assert len(planned_events) == 3


async def test_a_trial_is_cancelled_when_it_ends_and_never_billed(app, april, clock, look):
    found = await april.owner.ok("POST", "/v1/billing/subscription/cancel", json={})
    assert found["cancel_at"] == "2027-04-15T00:00:00Z"
    clock.set(TRIAL_END)
    await tick(app)
    assert await moves_of(look, april) == [("trialing", "cancelled", "schedule")]
    clock.set(TRIAL_END + 20 * DAY)
    await bill_all(app.kernel)
    assert await look.value("SELECT count(*) FROM tenants.bills WHERE tenant_id = $1", april.tenant_id) == 0


async def test_a_trial_that_was_cancelled_goes_on_when_resumed(april, clock):
    await april.owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": "now"})
    await at(april, clock, APRIL + 3 * DAY)
    found = await april.owner.ok("POST", "/v1/billing/subscription/resume")
    assert (found["status"], found["trial_ends_at"], found["export_until"]) == (
        "trialing", "2027-04-15T00:00:00Z", None,
    )  # fmt: skip


@pytest.mark.parametrize("plan", ["starter", "professional"])
async def test_who_comes_back_after_the_trial_is_billed_from_then_on(app, april, clock, look, plan):
    if plan != "starter":
        await april.owner.ok("PUT", "/v1/billing/subscription", json={"plan": plan})
    await april.owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": "now"})
    await at(april, clock, APRIL + 20 * DAY + timedelta(minutes=5))
    found = await april.owner.ok("POST", "/v1/billing/subscription/resume")
    assert (found["status"], found["trial_ends_at"]) == ("active", "2027-04-21T00:00:00Z")
    subscribed = await april.owner.ok("GET", "/v1/billing/subscription")
    assert (subscribed["current"]["plan"], subscribed["period"]["start"]) == (plan, "2027-04-21T00:00:00Z")
    clock.set(APRIL + 23 * DAY)
    await bill_all(app.kernel)
    rows = await look.rows(
        "SELECT period_end, following_end FROM tenants.bills WHERE tenant_id = $1", april.tenant_id
    )
    assert [tuple(row) for row in rows] == [(APRIL + 20 * DAY, datetime(2027, 5, 21, tzinfo=UTC))]


async def test_coming_and_going_after_a_trial_puts_no_bill_off(app, april, clock):
    await at(april, clock, TRIAL_END)
    await tick(app)
    await at(april, clock, TRIAL_END + DAY)
    await april.owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": "now"})
    await at(april, clock, TRIAL_END + 2 * DAY)
    found = await april.owner.ok("POST", "/v1/billing/subscription/resume")
    assert (found["status"], found["trial_ends_at"]) == ("active", "2027-04-15T00:00:00Z")


async def test_a_cancelled_company_exports_and_comes_back_within_the_window(app, april, clock, look):
    owner = april.owner
    await owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": "now"})
    refused = await owner.get("/v1/teams")
    assert refusal(refused)[:2] == (403, "tenant_cancelled")
    assert refused.json()["export_until"] == "2027-05-01T00:00:00+00:00"
    assert refusal(await owner.post("/v1/teams", {"name": "Late"}))[:2] == (403, "tenant_cancelled")
    export = await owner.post("/v1/exports", {"object": "lead", "format": "ndjson"})
    assert (export.status_code, export.headers["account-status"]) == (202, "cancelled")
    assert (await owner.get(export.headers["location"])).status_code == 200
    assert (await owner.get("/v1/billing/upcoming-invoice")).status_code == 200
    await at(april, clock, APRIL + 30 * DAY - timedelta(seconds=1))
    assert (await owner.ok("POST", "/v1/billing/subscription/resume"))["status"] == "active"
    assert (await owner.get("/v1/teams")).status_code == 200


async def test_after_the_window_nobody_gets_in_and_nothing_comes_back(app, april, clock, unchanged):
    await april.owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": "now"})
    clock.set(APRIL + 30 * DAY - timedelta(minutes=1))
    owner = april.owner
    await at(april, clock, APRIL + 30 * DAY - timedelta(minutes=1))
    clock.set(APRIL + 30 * DAY)
    async with unchanged():
        for path in ("/v1/me", "/v1/billing/account", "/v1/jobs"):
            assert refusal(await owner.get(path))[:2] == (403, "tenant_cancelled")
        assert (await owner.post("/v1/billing/subscription/resume")).status_code == 403
        again = await attempt(stranger_from(app), april.email, PASSWORD)
        assert refusal(again)[:2] == (403, "no_membership")
        with pytest.raises(InvalidTransition):
            await move_tenant(
                app.kernel, april.tenant_id, TenantStatus.ACTIVE, reason="late", by=MovedBy.OPERATOR
            )


async def test_there_is_nothing_to_resume_in_an_account_that_runs(april, unchanged):
    async with unchanged():
        refused = await april.owner.post("/v1/billing/subscription/resume")
        assert refusal(refused)[:2] == (409, "not_cancelled")


async def test_a_cancelled_account_is_not_cancelled_again(april, unchanged):
    await april.owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": "now"})
    async with unchanged():
        refused = await april.owner.post("/v1/billing/subscription/cancel", {"when": "now"})
        assert refusal(refused)[:2] == (403, "tenant_cancelled")


async def test_a_company_that_stays_unpaid_is_cancelled_after_thirty_days(app, april, clock, look):
    await move_tenant(
        app.kernel, april.tenant_id, TenantStatus.SUSPENDED, reason="unpaid", by=MovedBy.PAYMENT,
        suspended_for=SuspendedFor.UNPAID,
    )  # fmt: skip
    clock.set(APRIL + 30 * DAY - timedelta(seconds=1))
    await tick(app)
    clock.set(APRIL + 30 * DAY)
    await tick(app)
    assert await moves_of(look, april) == [
        ("trialing", "suspended", "payment"), ("suspended", "cancelled", "schedule"),
    ]  # fmt: skip


async def test_what_the_operator_suspended_waits_for_the_operator(app, april, clock, look):
    await move_tenant(
        app.kernel, april.tenant_id, TenantStatus.SUSPENDED, reason="abuse", by=MovedBy.OPERATOR
    )
    clock.set(APRIL + 365 * DAY)
    await tick(app)
    assert await moves_of(look, april) == [("trialing", "suspended", "operator")]


async def test_cancelling_and_coming_back_ends_no_suspension_by_the_operator(app, april, unchanged):
    await move_tenant(
        app.kernel, april.tenant_id, TenantStatus.SUSPENDED, reason="abuse", by=MovedBy.OPERATOR
    )
    await april.owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": "now"})
    async with unchanged():
        refused = await april.owner.post("/v1/billing/subscription/resume")
        assert refusal(refused)[:2] == (409, "suspended_before")
    await reactivate_tenant(app.kernel, april.tenant_id, reason="it was a mistake")
    assert (await standing(april))["status"] == "active"


@pytest.mark.parametrize("suspended_first", [True, False])
async def test_cancelling_and_coming_back_is_no_way_past_a_way_to_pay(
    worker_database, tmp_path, look, suspended_first
):
    async with running(worker_database, tmp_path, trial_days=14, trial_needs_payment_method=True) as other:
        assert other.kernel is not None
        other.kernel.clock = clock = FixedClock(APRIL)
        company = await sign_up(other)
        cancel = {"when": "now"}
        if not suspended_first:
            await company.owner.ok("POST", "/v1/billing/subscription/cancel", json=cancel)
        await at(company, clock, TRIAL_END + timedelta(minutes=4))
        await tick(other)
        if suspended_first:
            await company.owner.ok("POST", "/v1/billing/subscription/cancel", json=cancel)
        before = await fingerprint(look.connection, company.tenant_id)
        refused = await company.owner.post("/v1/billing/subscription/resume")
        assert refusal(refused)[:2] == (409, "no_payment_method")
        assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


async def test_a_past_due_company_does_everything_and_is_told_so(app, april, look):
    await force(look, app, april, "past_due")
    answer = await april.owner.post("/v1/teams", {"name": "On time"})
    assert (answer.status_code, answer.headers["account-status"]) == (201, "past_due")
    await force(look, app, april, "active")
    assert "account-status" not in (await april.owner.get("/v1/teams")).headers


async def test_where_a_way_to_pay_is_asked_for_a_trial_without_one_ends_suspended_and_unbilled(
    worker_database, tmp_path, look
):
    async with running(worker_database, tmp_path, trial_days=14, trial_needs_payment_method=True) as other:
        assert other.kernel is not None
        other.kernel.clock = FixedClock(APRIL)
        company = await sign_up(other)
        other.kernel.clock = FixedClock(TRIAL_END + timedelta(minutes=4))
        await tick(other)
        assert await moves_of(look, company) == [("trialing", "suspended", "schedule")]
        other.kernel.clock = FixedClock(TRIAL_END + 5 * DAY)
        await bill_all(other.kernel)
        count = "SELECT count(*) FROM tenants.bills WHERE tenant_id = $1"
        assert await look.value(count, company.tenant_id) == 0
        await reactivate_tenant(other.kernel, company.tenant_id, reason="they pay by transfer")
        ends = "SELECT trial_ends_at FROM tenants.tenants WHERE id = $1"
        assert await look.value(ends, company.tenant_id) == TRIAL_END + 5 * DAY


async def test_who_was_suspended_when_the_trial_ended_is_billed_from_the_return_on(app, april, clock, look):
    await move_tenant(
        app.kernel, april.tenant_id, TenantStatus.SUSPENDED, reason="abuse", by=MovedBy.OPERATOR
    )
    clock.set(TRIAL_END + 5 * DAY)
    await bill_all(app.kernel)
    count = "SELECT count(*) FROM tenants.bills WHERE tenant_id = $1"
    assert await look.value(count, april.tenant_id) == 0
    await reactivate_tenant(app.kernel, april.tenant_id, reason="it was a mistake")
    clock.set(TRIAL_END + 7 * DAY)
    await bill_all(app.kernel)
    rows = await look.rows(
        "SELECT period_end, total FROM tenants.bills WHERE tenant_id = $1", april.tenant_id
    )
    assert [tuple(row) for row in rows] == [(TRIAL_END + 5 * DAY, 1500)]


_WAITING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_an_operator_and_the_clock_wait_for_each_other_in_one_order(app, april, clock, look):
    await move_tenant(
        app.kernel, april.tenant_id, TenantStatus.SUSPENDED, reason="abuse", by=MovedBy.OPERATOR
    )
    clock.set(TRIAL_END + DAY)
    async with asyncio.timeout(60), transaction_of(app.kernel, april.tenant_id) as uow:
        await hold_billing(uow)
        back = asyncio.create_task(reactivate_tenant(app.kernel, april.tenant_id, reason="sorry"))
        while not await look.value(_WAITING):  # noqa: ASYNC110 - PostgreSQL tells nobody who waits
            await asyncio.sleep(0.01)
        account = await uow.get(Tenant, uow.tenant_id, lock="update")
        assert account.status == "suspended"
    await back
    assert await moves_of(look, april) == [
        ("trialing", "suspended", "operator"), ("suspended", "active", "operator"),
    ]  # fmt: skip


class _Eraser:
    """Stands where the port's owner will: it says which tenants were handed over."""

    seen: ClassVar[list[tuple[UUID, str]]] = []

    def __init__(self, uow: Any) -> None:
        self._uow = uow

    async def begin(self, *, reason: str) -> None:
        self.seen.append((self._uow.tenant_id, reason))


async def test_after_the_window_an_account_is_handed_over_to_be_erased(worker_database, tmp_path, look):
    _Eraser.seen.clear()
    module = Module(name="eraser", ports=[(TenantErasure, _Eraser)])
    async with running(worker_database, tmp_path, (module,)) as other:
        assert other.kernel is not None
        other.kernel.clock = FixedClock(APRIL)
        company = await sign_up(other)
        await company.owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": "now"})
        other.kernel.clock = FixedClock(APRIL + 30 * DAY - timedelta(seconds=1))
        await tick(other)
        assert [one for one in _Eraser.seen if one[0] == company.tenant_id] == []
        other.kernel.clock = FixedClock(APRIL + 30 * DAY)
        await tick(other)
        found = [one for one in _Eraser.seen if one[0] == company.tenant_id]
        assert found == [(company.tenant_id, "the export window is over")]


async def test_one_account_that_fails_keeps_no_other_from_its_move(app, clock, look):
    broken, sound = await sign_up(app), await sign_up(app)
    await look.run(
        f"CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF NEW.id = '{broken.tenant_id}' THEN RAISE 'broken'; END IF; RETURN NEW; END $$"
    )
    await look.run(
        "CREATE TRIGGER broken BEFORE UPDATE ON tenants.tenants FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse()"
    )
    status = "SELECT status FROM tenants.tenants WHERE id = $1"
    clock.set(TRIAL_END)
    try:
        await tick(app)
        assert await look.value(status, broken.tenant_id) == "trialing"
        assert await look.value(status, sound.tenant_id) == "active"
    finally:
        await look.run("DROP TRIGGER broken ON tenants.tenants")
    await tick(app)
    assert await look.value(status, broken.tenant_id) == "active"


async def test_every_move_is_allowed_by_the_table_or_changes_nothing(app, april, look, unchanged):
    async def go(to: TenantStatus) -> None:
        async with transaction_of(app.kernel, april.tenant_id) as uow:
            await move(uow, to, reason="because", by=MovedBy.OPERATOR)

    expected: list[tuple[str, str, str]] = []
    for before, to in itertools.product(TenantStatus, TenantStatus):
        window = APRIL + DAY if before is TenantStatus.CANCELLED else None
        await force(look, app, april, before.value, export_until=window)
        if to in MOVES[before]:
            await go(to)
            expected.append((before.value, to.value, "operator"))
            continue
        async with unchanged():
            if before is to:
                await go(to)
                continue
            with pytest.raises(InvalidTransition) as caught:
                await go(to)
            assert caught.value.members["state"] == before.value
    assert await moves_of(look, april) == expected


async def test_of_a_hundred_who_cancel_and_resume_at_once_each_step_follows_from_the_one_before(april, look):
    owner = april.owner

    async def call(number: int) -> int:
        verb = "cancel" if number % 2 else "resume"
        body = {"json": {"when": "now"}} if number % 2 else {}
        answer = await owner.request("POST", f"/v1/billing/subscription/{verb}", **body)
        return int(answer.status_code)

    answers = await asyncio.gather(*(call(number) for number in range(100)))
    assert set(answers) <= {200, 403, 409}
    steps = await moves_of(look, april)
    assert steps[0][:2] == ("trialing", "cancelled")
    assert all(left[1] == right[0] for left, right in itertools.pairwise(steps))


@given(st.lists(st.sampled_from(list(TenantStatus)), max_size=12))
def test_nothing_leads_out_of_erased_and_everything_can_get_there(path):
    state, seen = TenantStatus.TRIALING, [TenantStatus.TRIALING]
    for step in path:
        if step in MOVES[state]:
            state = step
            seen.append(state)
    if TenantStatus.ERASED in seen:
        assert seen.index(TenantStatus.ERASED) == len(seen) - 1
        assert seen[-2] is TenantStatus.CANCELLED
