"""Limits of plans: at, below and above each one, exactly, however many try at once; what is refused changes nothing."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

import pytest

from app.kernel.access import system_actor
from app.kernel.jobs import JobRunner
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import transaction
from app.tenants.billing import kept, metering
from app.tenants.billing.plans import Plan, price_list
from tests.kernel.conftest import refusal
from tests.support.api import PASSWORD, sign_up
from tests.tenants.billing.plan import allow, entitlement, refused
from tests.tenants.people import colleague, role_id, stranger_from, unique_email

Json = dict[str, Any]
FIELDS = ("allowed", "used", "share", "enforcement", "counts", "lifted_by")


async def toy(company: Any, **fields: Any) -> Any:
    return await company.owner.post("/v1/toys", {"name": "Ball"} | fields)


async def test_a_plan_of_an_older_price_list_limits_nothing():
    plan = price_list()[0].model_dump(mode="json")
    for name in ("features", "limits", "requests_per_minute", "worker_share"):
        del plan[name]
    old = Plan.model_validate(plan)
    assert (old.features, old.limits.by_name(), old.requests_per_minute, old.worker_share) == (
        {},
        {},
        None,
        1,
    )


async def test_the_page_of_entitlements_says_what_is_used_and_what_lifts_it(company, look):
    await allow(company, look, records=4, seats=50)
    for _ in range(3):
        await company.owner.ok("POST", "/v1/toys", json={"name": "Ball"})
    found = await company.owner.ok("GET", "/v1/billing/entitlements")
    limits = {limit["limit"]: tuple(limit[name] for name in FIELDS) for limit in found["limits"]}
    assert limits == {
        "records": (4, 3, "0.75", "hard", "kept", "starter"),
        "seats": (50, 1, "0.02", "hard", "kept", "professional"),
    }
    assert (found["plan"], found["worker_share"], found["missing_features"]) == ("tiny", 1, [])


async def test_records_go_up_to_the_limit_and_no_further(company, look, unchanged):
    await allow(company, look, records=2)
    first = (await toy(company)).json()
    await company.owner.ok("POST", "/v1/toys", json={"name": "Kite"})
    async with unchanged():
        answer = await toy(company)
        assert refused(answer) == {
            "status": 403, "code": "plan_limit_reached", "limit": "records", "allowed": 2, "used": 2,
            "plan": "tiny", "lifted_by": "starter",
        }  # fmt: skip
    await company.owner.ok("DELETE", f"/v1/toys/{first['id']}", if_match=first["version"])
    assert (await toy(company)).status_code == 201
    assert (await toy(company)).status_code == 403
    assert (
        await company.owner.patch(f"/v1/toys/{first['id']}", {"name": "x"}, if_match=2)
    ).status_code == 404


async def test_a_soft_limit_refuses_nothing(company, look):
    await allow(company, look, soft=True, records=1, seats=1, storage_bytes=1, api_calls=1, messages=1)
    for _ in range(3):
        assert (await toy(company)).status_code == 201
    await colleague(company, look)
    assert (await entitlement(company, "records"))["used"] == 3
    assert (await entitlement(company, "records"))["share"] == "3"


async def test_two_hundred_at_once_stop_at_exactly_the_limit(company, look):
    await allow(company, look, records=120)
    answers = await asyncio.gather(*(toy(company) for _ in range(200)))
    assert Counter(answer.status_code for answer in answers) == {201: 120, 403: 80}
    count = "SELECT count(*) FROM toys.toys WHERE tenant_id = $1"
    assert await look.value(count, company.tenant_id) == 120
    assert (await entitlement(company, "records"))["used"] == 120


async def test_a_batch_makes_what_there_is_room_for(company, look):
    await allow(company, look, records=3)
    items = [{"record": {"name": f"Ball {n}"}} for n in range(5)]
    answer = await company.owner.ok("POST", "/v1/toys/batch/create", json={"items": items})
    assert [r["status"] for r in answer["results"]] == [201, 201, 201, 403, 403]
    assert {r["error"]["code"] for r in answer["results"][3:]} == {"plan_limit_reached"}
    assert (await entitlement(company, "records"))["used"] == 3


async def test_an_import_says_of_each_row_that_there_is_no_room_and_loses_none(company, look):
    await allow(company, look, records=3)
    made = await company.owner.ok(
        "POST",
        "/v1/imports",
        data={"object": "toys"},
        files={"file": ("toys.csv", b"name\n" + b"".join(b"Toy %d\n" % n for n in range(5)), "text/csv")},
    )
    await JobRunner(company.app.kernel).run_due()
    done = await company.owner.ok("GET", f"/v1/imports/{made['id']}")
    assert (done["state"], done["created"], done["failed"]) == ("completed_with_errors", 3, 2)
    failed = (await company.owner.get(done["results"]["failed"])).text.lstrip("\ufeff").splitlines()
    assert [line.split(",")[:4] for line in failed[1:]] == [
        ["Toy 3", "5", "", "plan_limit_reached"], ["Toy 4", "6", "", "plan_limit_reached"],
    ]  # fmt: skip


async def test_triggers_and_counting_anew_agree_whatever_happened(company, look):
    kernel = company.app.kernel
    profile = await kernel.authenticator.tenant_profile(company.tenant_id)
    run = ScheduledRun(kernel, profile)
    total = "SELECT total FROM kernel.usage_totals WHERE tenant_id = $1 AND metric = $2"
    made = [(await toy(company)).json() for _ in range(4)]
    await company.owner.ok("POST", "/v1/files?filename=a.txt", content=b"12345")
    await metering.roll(ScheduledRun(kernel))
    before = [await look.value(total, company.tenant_id, m) for m in ("records.kept", "storage.kept")]
    assert before[1] == 5
    await company.owner.ok("DELETE", f"/v1/toys/{made[0]['id']}", if_match=1)
    await kept.recount(run)  # with a change that is not rolled up yet
    await metering.roll(ScheduledRun(kernel))
    after = [await look.value(total, company.tenant_id, m) for m in ("records.kept", "storage.kept")]
    assert after == [before[0] - 1, 5]
    await look.run("UPDATE kernel.usage_totals SET total = 77 WHERE tenant_id = $1", company.tenant_id)
    await kept.recount(run)
    mended = [await look.value(total, company.tenant_id, m) for m in ("records.kept", "storage.kept")]
    assert mended == after


# -- seats -----------------------------------------------------------------------------------------------------


async def invite(company: Any, role: str | None = None) -> Any:
    roles = {} if role is None else {"role_ids": [await role_id(company, role)]}
    return await company.owner.post("/v1/invitations", {"email": unique_email(), "name": "Kim"} | roles)


async def test_invitations_hold_a_seat_and_viewers_need_none(company, look, unchanged):
    await allow(company, look, seats=2)
    assert (await invite(company)).status_code == 201
    async with unchanged():
        answer = await invite(company)
        assert refused(answer) | {"status": 403} == {
            "status": 403, "code": "plan_limit_reached", "limit": "seats", "allowed": 2, "used": 2,
            "plan": "tiny", "lifted_by": "starter",
        }  # fmt: skip
    assert (await invite(company, "viewer")).status_code == 201


async def test_fifty_invitations_at_once_promise_no_seat_too_many(company, look):
    await allow(company, look, seats=21)
    answers = await asyncio.gather(*(invite(company) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {201: 20, 403: 30}


async def test_fifty_who_accept_at_once_take_no_seat_too_many(company, look):
    await allow(company, look, seats=60)
    emails = [unique_email("seat") for _ in range(50)]
    for email in emails:
        await company.owner.ok("POST", "/v1/invitations", json={"email": email, "name": "Kim"})
    await allow(company, look, seats=8)
    tokens = [await look.mailed_token(email) for email in emails]

    async def accept(token: str) -> Any:
        body = {"token": token, "password": PASSWORD}
        return await stranger_from(company.app).post("/v1/invitations/accept", body)

    answers = await asyncio.gather(*(accept(token) for token in tokens))
    assert Counter(refusal(a) if a.status_code == 403 else a.status_code for a in answers) == {
        201: 7, (403, "plan_limit_reached"): 43,
    }  # fmt: skip
    assert (await entitlement(company, "seats"))["used"] == 8
    pending = "SELECT count(*) FROM tenants.invitations WHERE tenant_id = $1 AND status = 'pending'"
    assert await look.value(pending, company.tenant_id) == 43


async def test_neither_a_return_nor_another_role_takes_a_seat_too_many(company, look, unchanged):
    left, watcher = await colleague(company, look), await colleague(company, look, "viewer")
    path = f"/v1/members/{left.facts['member_id']}"
    gone = await company.owner.ok("POST", f"{path}/deactivate", json={}, if_match=1)
    await colleague(company, look)
    await allow(company, look, seats=2)
    version = gone["member"]["version"] if "member" in gone else gone["version"]
    async with unchanged():
        back = await company.owner.post(f"{path}/reactivate", if_match=version)
        assert refusal(back) == (403, "plan_limit_reached")
        paid = {"role_ids": [await role_id(company, "salesperson")]}
        raised = await company.owner.patch(f"/v1/members/{watcher.facts['member_id']}", paid, if_match=1)
        assert refusal(raised) == (403, "plan_limit_reached")
    await allow(company, look, seats=1)  # beyond already: who has a seat keeps it, in whatever role
    other = await company.owner.ok("GET", "/v1/members?status=active")
    seller = next(
        m for m in other["data"] if m["id"] not in (str(company.member_id), watcher.facts["member_id"])
    )
    manager = {"role_ids": [await role_id(company, "manager")]}
    changed = await company.owner.patch(f"/v1/members/{seller['id']}", manager, if_match=seller["version"])
    assert changed.status_code == 200


# -- storage, features -----------------------------------------------------------------------------------------


async def test_a_file_too_many_is_refused_and_its_bytes_are_gone(company, look, unchanged):
    await allow(company, look, storage_bytes=10)
    upload = company.owner.post
    assert (await upload("/v1/files?filename=a.txt", content=b"1234567")).status_code == 201
    async with unchanged():
        answer = await upload("/v1/files?filename=b.txt", content=b"1234")
        assert (refused(answer)["code"], refused(answer)["used"]) == ("plan_limit_reached", 7)
    assert (await upload("/v1/files?filename=c.txt", content=b"123")).status_code == 201
    assert (await entitlement(company, "storage_bytes"))["share"] == "1"
    answers = await asyncio.gather(*(upload("/v1/files?filename=d.txt", content=b"1") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {403}


async def test_what_a_plan_leaves_out_is_refused_by_name(company, look, unchanged):
    await allow(company, look, plan={"features": {"webhooks": False}})
    async with unchanged():
        answer = await company.owner.post(
            "/v1/webhook-endpoints", {"url": "https://example.com/hook", "event_types": ["*"]}
        )
        body = answer.json()
        assert (answer.status_code, body["code"], body["feature"], body["lifted_by"]) == (
            403, "plan_feature_missing", "webhooks", "starter",
        )  # fmt: skip
    found = await company.owner.ok("GET", "/v1/billing/entitlements")
    assert found["missing_features"] == [{"feature": "webhooks", "lifted_by": "starter"}]


# -- API calls -------------------------------------------------------------------------------------------------


async def test_calls_beyond_the_limit_wait_for_the_next_month_and_the_plan_can_still_be_changed(
    company, rival, look
):
    await allow(company, look, api_calls=6)
    seen = [await company.owner.get("/v1/toys") for _ in range(8)]
    refused_ones = [answer for answer in seen if answer.status_code == 429]
    assert [answer.status_code for answer in seen[-2:]] == [429, 429]
    last = refused_ones[-1]
    assert last.json()["code"] == "plan_calls_used_up"
    assert (last.json()["limit"], last.json()["allowed"], last.json()["lifted_by"]) == (
        "api_calls",
        6,
        "starter",
    )
    wait = int(last.headers["retry-after"])
    assert 0 < wait <= 31 * 86_400
    assert re.search(rf'"plan";r=0;t={wait}\b', last.headers["ratelimit"])
    assert re.search(r'"plan";q=6;w=2\d{6}\b', last.headers["ratelimit-policy"])
    assert (await rival.owner.get("/v1/toys")).status_code == 200
    answer = await company.owner.put("/v1/billing/subscription", {"plan": "professional"})
    assert answer.status_code == 200
    assert (await company.owner.get("/v1/toys")).status_code == 200


async def test_all_that_was_called_is_written_once_also_what_could_not_be_written_at_first(
    company, look, app
):
    from app.tenants.billing import api_calls

    kernel = app.kernel
    await api_calls.flush(kernel)
    written = (
        "SELECT coalesce(sum(quantity), 0)::bigint FROM kernel.usage_records"
        " WHERE tenant_id = $1 AND metric = 'api.calls'"
    )
    before = await look.value(written, company.tenant_id)
    for _ in range(7):
        await company.owner.ok("GET", "/v1/toys")
    await look.run("ALTER TABLE kernel.usage_records RENAME TO usage_records_away")
    try:
        with pytest.raises(Exception, match="usage_records"):
            await api_calls.flush(kernel)
    finally:
        await look.run("ALTER TABLE kernel.usage_records_away RENAME TO usage_records")
    await asyncio.gather(*(company.owner.get("/v1/toys") for _ in range(5)))
    await asyncio.gather(*(api_calls.flush(kernel) for _ in range(3)))
    assert await look.value(written, company.tenant_id) == before + 12


# -- what the product does of itself ---------------------------------------------------------------------------


async def test_what_the_product_does_of_itself_passes_and_counts(company, look, app):
    await allow(company, look, records=1)
    profile = await app.kernel.authenticator.tenant_profile(company.tenant_id)
    from tests.support.toy import TOY

    for _ in range(2):
        async with transaction(app.kernel, system_actor(profile)) as uow:
            await TOY.service(uow).create(
                {"name": "Ball", "owner_id": company.member_id, "colour": "red", "fragile": False}
            )
    assert (await entitlement(company, "records"))["used"] == 2
    assert (await toy(company)).status_code == 403


async def test_a_company_that_signs_up_has_the_limits_of_the_first_plan_at_once(app):
    company = await sign_up(app)
    found = await company.owner.ok("GET", "/v1/billing/entitlements")
    first = price_list()[0]
    assert found["plan"] == first.key
    assert {limit["limit"]: limit["allowed"] for limit in found["limits"]} == {
        name.value: limit.limit for name, limit in first.limits.by_name().items()
    }
