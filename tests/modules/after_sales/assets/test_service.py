"""Service: what is drawn never exceeds what is included, plans open each work order once, and work is signed off."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.clock import FixedClock
from app.kernel.periods import add_months
from app.modules.after_sales.services.service.maintenance import due_after, open_due_work, reading_after
from app.modules.after_sales.services.service.work_orders import ENDED, WORK_ORDER_STATES, WorkOrderService
from tests.modules.after_sales.assets.things import (
    Worker,
    asset_of,
    contract_of,
    go,
    listed,
    now,
    send,
    step,
    work_order_of,
)
from tests.modules.after_sales.cases.cases import case_of
from tests.modules.after_sales.conftest import Hire
from tests.modules.orders.orders import product, stock
from tests.modules.support import acting, count, make
from tests.support.api import Client, Company

Json = dict[str, Any]
WINDOW = {"starts_at": "2026-03-03T08:00:00Z", "ends_at": "2026-03-03T10:00:00Z"}


# -- entitlements ------------------------------------------------------------------------------------------------


async def test_300_draws_at_once_take_exactly_what_is_included(
    company: Company, owner: Client, account: Json
) -> None:
    contract = await contract_of(owner, account, visits_included=100, minutes_included=10)
    path = f"/v1/service-contracts/{contract['id']}/draws"

    async def draw() -> int:
        return (await owner.post(path, json={"kind": "visits", "quantity": 1})).status_code

    answers = await asyncio.gather(*(draw() for _ in range(300)))
    assert (answers.count(201), answers.count(409)) == (100, 200)
    after = await now(owner, "service-contracts", contract)
    assert (after["visits_used"], after["minutes_used"], after["version"]) == (100, 0, 101)
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT count(*), sum(quantity) FROM after_sales.entitlement_draws WHERE tenant_id = $1",
            uow.tenant_id,
        )
        assert tuple(rows[0]) == (100, 100)
    refused = await owner.post(path, json={"kind": "visits", "quantity": 1})
    assert refused.json() | {"kind": "visits", "wanted": 1, "left": 0} == refused.json()
    assert refused.json()["code"] == "entitlement_exhausted"


async def test_draws_of_any_size_never_take_more_than_there_is(owner: Client, account: Json) -> None:
    contract = await contract_of(owner, account, minutes_included=1_000)
    path = f"/v1/service-contracts/{contract['id']}/draws"
    sizes = [1 + (n * 37) % 60 for n in range(120)]
    answers = await asyncio.gather(
        *(owner.post(path, json={"kind": "minutes", "quantity": size}) for size in sizes)
    )
    taken = sum(size for size, answer in zip(sizes, answers, strict=True) if answer.status_code == 201)
    after = await now(owner, "service-contracts", contract)
    assert after["minutes_used"] == taken
    assert 1_000 - 60 < taken <= 1_000
    first = await owner.ok("GET", f"{path}?limit=10")
    second = await owner.ok("GET", f"{path}?limit=200&cursor={first['next_cursor']}")
    drawn = [one["quantity"] for one in [*first["data"], *second["data"]]]
    assert (sum(drawn), len(drawn)) == (taken, sum(a.status_code == 201 for a in answers))
    assert (await owner.get(f"{path}?cursor=nonsense")).status_code == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"starts_on": "2026-03-03"},
        {"ends_on": "2026-03-01"},
        {"cancelled_on": "2026-03-02"},
    ],
)
async def test_nothing_is_drawn_while_a_contract_does_not_hold(
    owner: Client, account: Json, clock: FixedClock, fields: Json
) -> None:
    contract = await contract_of(owner, account, visits_included=1, **fields)
    answer = await owner.post(
        f"/v1/service-contracts/{contract['id']}/draws", json={"kind": "visits", "quantity": 1}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "service_contract_not_in_force")
    assert await now(owner, "service-contracts", contract) == contract


async def test_what_was_used_cannot_be_taken_out_of_a_contract(
    company: Company, owner: Client, account: Json
) -> None:
    contract = await contract_of(owner, account, visits_included=2)
    draws = f"/v1/service-contracts/{contract['id']}/draws"
    await owner.ok("POST", draws, json={"kind": "visits", "quantity": 2})
    path = f"/v1/service-contracts/{contract['id']}"
    less = await owner.request("PATCH", path, json={"visits_included": 1}, headers={"If-Match": '"2"'})
    assert (less.status_code, less.json()["errors"][0]["code"]) == (422, "used_up")
    gone = await owner.request("DELETE", path, headers={"If-Match": '"2"'})
    assert gone.status_code == 409
    assert (await now(owner, "service-contracts", contract))["visits_included"] == 2


async def test_an_asset_of_somebody_else_is_in_no_contract(
    company: Company, owner: Client, account: Json
) -> None:
    asset = await asset_of(owner)
    answer = await owner.post(
        "/v1/service-contracts",
        json={
            "name": "x", "account_id": account["id"], "asset_id": asset["id"],
            "starts_on": "2026-01-01", "ends_on": "2025-01-01",
        },
    )  # fmt: skip
    assert [e["code"] for e in answer.json()["errors"]] == ["other_account"]
    assert await count(company, "after_sales.service_contracts") == 0


# -- work orders -------------------------------------------------------------------------------------------------


async def test_work_is_scheduled_done_and_signed_off(
    company: Company, owner: Client, account: Json, hire: Hire
) -> None:
    technician = await hire("salesperson")
    me = (await technician.ok("GET", "/v1/me"))["member_id"]
    asset = await asset_of(owner, account_id=account["id"])
    case = await case_of(owner, asset_id=asset["id"])
    contract = await contract_of(
        owner, account, minutes_included=60, visits_included=1, response_class="gold"
    )
    order = await work_order_of(owner, case_id=case["id"], service_contract_id=contract["id"])
    assert (order["status"], order["asset_id"], order["account_id"]) == ("draft", asset["id"], account["id"])
    assert order["number"].startswith("W-")
    order = await go(owner, order, ("schedule", WINDOW | {"assignee_id": me}))
    assert (order["status"], order["owner_id"], order["window_starts_at"]) == (
        "scheduled",
        me,
        "2026-03-03T08:00:00Z",
    )
    todos = await technician.ok("GET", "/v1/to-dos?kind=work_order")
    assert [(one["title"], one["due_at"]) for one in todos["data"]] == [
        ("Replace the seal", "2026-03-03T08:00:00Z")
    ]
    order = await go(technician, order, ("start", None))
    path = f"/v1/work-orders/{order['id']}"
    part = await technician.ok("POST", f"{path}/parts", json={"description": "Seal", "quantity": "2"})
    spent = await technician.ok(
        "POST", f"{path}/time-entries", json={"started_at": "2026-03-03T08:30:00Z", "minutes": 45}
    )
    assert (spent["member_id"], spent["minutes"]) == (me, 45)
    after = await now(owner, "service-contracts", contract)
    assert (after["minutes_used"], after["visits_used"]) == (45, 0)
    order = await go(
        technician, order, ("finish", {"report": "New seal"}), ("resume", None), ("finish", None)
    )
    assert (order["status"], order["report"], order["minutes_worked"]) == ("done", "New seal", 45)
    after = await now(owner, "service-contracts", contract)
    assert (after["minutes_used"], after["visits_used"]) == (45, 1)
    upload = await technician.request(
        "POST", "/v1/files?filename=signature.png", content=b"signed", headers={"Content-Type": "text/plain"}
    )
    order = await go(
        technician,
        order,
        ("sign-off", {"signed_by": "R. de Vries", "signature_file_id": upload.json()["id"]}),
    )
    assert (order["status"], order["signed_by"], order["signature_file_id"]) == (
        "signed_off",
        "R. de Vries",
        upload.json()["id"],
    )
    assert order["signed_at"] == order["updated_at"]
    assert await listed(technician, f"work-orders/{order['id']}/parts") == [part]
    assert await listed(technician, f"work-orders/{order['id']}/time-entries") == [spent]
    for method, rest, body in (
        ("POST", "parts", {"description": "Seal", "quantity": "1"}),
        ("POST", "time-entries", {"started_at": "2026-03-03T08:30:00Z", "minutes": 5}),
        ("DELETE", f"parts/{part['id']}", None),
    ):
        late = await technician.request(method, f"{path}/{rest}", json=body)
        assert (late.status_code, late.json()["code"]) == (409, "work_order_ended")
    late = await technician.request(
        "PATCH", path, json={"subject": "x"}, headers={"If-Match": f'"{order["version"]}"'}
    )
    assert (late.status_code, late.json()["code"]) == (409, "work_order_ended")
    assert await now(owner, "work-orders", order) == order
    kinds = {
        (one["kind"], one["quantity"], one["work_order_id"])
        for one in await listed(owner, f"service-contracts/{contract['id']}/draws")
    }
    assert kinds == {("minutes", 45, order["id"]), ("visits", 1, order["id"])}


async def test_work_beyond_the_contract_is_noted_only_when_it_is_said(owner: Client, account: Json) -> None:
    contract = await contract_of(owner, account, minutes_included=30, visits_included=0)
    order = await work_order_of(owner, service_contract_id=contract["id"])
    path = f"/v1/work-orders/{order['id']}/time-entries"
    body = {"started_at": "2026-01-02T08:00:00Z", "minutes": 31}
    refused = await owner.post(path, json=body)
    assert (refused.status_code, refused.json()["code"], refused.json()["left"]) == (
        409,
        "entitlement_exhausted",
        30,
    )
    assert await listed(owner, f"work-orders/{order['id']}/time-entries") == []
    assert await now(owner, "work-orders", order) == order
    made = await owner.ok("POST", path, json=body | {"outside_contract": True})
    assert made["draw_id"] is None
    assert (await now(owner, "service-contracts", contract)) == contract
    order = await go(owner, order, ("start", None), ("finish", None))
    assert (order["minutes_worked"], order["status"]) == (31, "done")


async def test_parallel_time_entries_draw_no_more_than_there_is(owner: Client, account: Json) -> None:
    contract = await contract_of(owner, account, minutes_included=100)
    orders = [await work_order_of(owner, service_contract_id=contract["id"]) for _ in range(4)]
    body = {"started_at": "2026-01-02T08:00:00Z", "minutes": 7}
    answers = await asyncio.gather(
        *(owner.post(f"/v1/work-orders/{orders[n % 4]['id']}/time-entries", json=body) for n in range(100))
    )
    assert sum(answer.status_code == 201 for answer in answers) == 14
    assert (await now(owner, "service-contracts", contract))["minutes_used"] == 98
    worked = [(await now(owner, "work-orders", order))["minutes_worked"] for order in orders]
    assert sum(worked) == 98


@given(
    st.lists(st.sampled_from(sorted({action for _, action in WORK_ORDER_STATES.transitions})), max_size=12)
)
def test_a_work_order_ends_signed_off_or_cancelled_for_good(actions: list[str]) -> None:
    state, done = WORK_ORDER_STATES.initial, False
    for action in actions:
        if not WORK_ORDER_STATES.may(state, action):
            continue
        assert state not in ENDED
        state = WORK_ORDER_STATES.next(state, action)
        done = done or state == "done"
        assert state != "signed_off" or done
    assert WORK_ORDER_STATES.final == ENDED


async def test_steps_out_of_order_change_nothing(company: Company, owner: Client) -> None:
    order = await work_order_of(owner)
    for name, body in (
        ("finish", None),
        ("resume", None),
        ("sign-off", {"signed_by": "X"}),
    ):
        answer = await step(owner, order, name, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "invalid_transition")
    backwards = await step(
        owner, order, "schedule", {"starts_at": WINDOW["ends_at"], "ends_at": WINDOW["starts_at"]}
    )
    assert backwards.status_code == 422
    stranger = await step(owner, order, "schedule", WINDOW | {"assignee_id": str(uuid4())})
    assert stranger.status_code == 422
    stale = await owner.post(f"/v1/work-orders/{order['id']}/start", if_match=7)
    assert stale.status_code == 412
    assert await now(owner, "work-orders", order) == order
    done = await go(owner, order, ("start", None), ("finish", None))
    for body in (
        {"signed_by": "X", "signed_at": "2999-01-01T00:00:00Z"},
        {"signed_by": "X", "signature_file_id": str(uuid4())},
    ):
        assert (await step(owner, order, "sign-off", body)).status_code == 422
    gone = await owner.request("DELETE", f"/v1/work-orders/{order['id']}", headers={"If-Match": '"3"'})
    assert gone.status_code == 409
    assert await now(owner, "work-orders", order) == done


async def test_a_contract_of_somebody_else_is_not_drawn_on(
    company: Company, owner: Client, account: Json
) -> None:
    other = await make(owner, "accounts", name="Other")
    contract = await contract_of(owner, other, visits_included=1)
    asset = await asset_of(owner, account_id=account["id"])
    answer = await owner.post(
        "/v1/work-orders",
        json={"subject": "x", "asset_id": asset["id"], "service_contract_id": contract["id"]},
    )
    assert [e["code"] for e in answer.json()["errors"]] == ["other_account"]
    own = await contract_of(owner, account, asset_id=asset["id"])
    answer = await owner.post(
        "/v1/work-orders",
        json={"subject": "x", "account_id": account["id"], "service_contract_id": own["id"]},
    )
    assert [e["code"] for e in answer.json()["errors"]] == ["other_asset"]
    assert await count(company, "after_sales.work_orders") == 0


async def test_a_part_is_a_product_or_has_a_description(owner: Client) -> None:
    order = await work_order_of(owner)
    goods = await product(owner, name="Seal kit")
    path = f"/v1/work-orders/{order['id']}/parts"
    made = await owner.ok(
        "POST", path, json={"product_id": goods["id"], "quantity": "2", "serial_numbers": ["A", "B"]}
    )
    assert (made["description"], made["serial_numbers"]) == ("Seal kit", ["A", "B"])
    for body in (
        {"quantity": "1"},
        {"description": "Seal", "quantity": "0"},
        {"product_id": str(uuid4()), "quantity": "1"},
        {"description": "Seal", "quantity": "2", "serial_numbers": ["A"]},
    ):
        assert (await owner.post(path, json=body)).status_code == 422
    assert await listed(owner, f"work-orders/{order['id']}/parts") == [made]
    gone = await owner.request("DELETE", f"{path}/{made['id']}")
    assert gone.status_code == 204
    assert (await owner.request("DELETE", f"{path}/{made['id']}")).status_code == 404


# -- maintenance -------------------------------------------------------------------------------------------------


async def test_each_due_day_has_one_work_order_however_many_workers_look(
    owner: Client, account: Json, worker: Worker, clock: FixedClock
) -> None:
    assets = [await asset_of(owner, name=f"Pump {n}", account_id=account["id"]) for n in range(10)]
    plans = [
        await make(
            owner, "maintenance-plans", name="Inspect", asset_id=asset["id"], every_months=1,
            starts_on="2026-01-31", lead_days=3, instructions="Look at the seal",
        )
        for asset in assets
    ]  # fmt: skip
    await asyncio.gather(*(worker.run(open_due_work) for _ in range(8)))
    made = await listed(owner, "work-orders?limit=200&sort=planned_on")
    assert sorted((one["maintenance_plan_id"], one["planned_on"]) for one in made) == sorted(
        (plan["id"], day) for plan in plans for day in ("2026-01-31", "2026-02-28")
    )
    first = made[0]
    assert (first["subject"], first["description"], first["account_id"], first["due_on"]) == (
        "Inspect",
        "Look at the seal",
        account["id"],
        "2026-01-31",
    )
    assert first["owner_id"] == plans[0]["owner_id"]
    assert (await now(owner, "maintenance-plans", plans[0]))["next_due_on"] == "2026-03-31"
    clock.advance(days=25)
    await worker.run(open_due_work)
    assert len(await listed(owner, "work-orders?limit=200")) == 20
    clock.advance(days=1)
    await asyncio.gather(*(worker.run(open_due_work) for _ in range(4)))
    assert len(await listed(owner, "work-orders?planned_on=2026-03-31")) == 10


async def test_a_plan_that_is_set_back_opens_no_day_twice(
    owner: Client, worker: Worker, clock: FixedClock
) -> None:
    asset = await asset_of(owner)
    plan = await make(
        owner, "maintenance-plans", name="Inspect", asset_id=asset["id"], starts_on="2026-03-02"
    )
    await worker.run(open_due_work)
    changed = await now(owner, "maintenance-plans", plan)
    assert changed["next_due_on"] == "2027-03-02"
    path = f"/v1/maintenance-plans/{plan['id']}"
    back = await owner.ok("PATCH", path, json={"every_months": 6}, if_match=changed["version"])
    assert back["next_due_on"] == "2026-03-02"
    await worker.run(open_due_work)
    assert [one["planned_on"] for one in await listed(owner, "work-orders")] == ["2026-03-02"]
    assert (await now(owner, "maintenance-plans", plan))["next_due_on"] == "2026-09-02"


async def test_a_meter_opens_work_at_each_interval_once(
    owner: Client, worker: Worker, clock: FixedClock
) -> None:
    asset = await asset_of(owner)
    await send(owner, asset, ("2026-01-01T00:00:00Z", 480.0), metric="hours")
    plan = await make(
        owner, "maintenance-plans", name="Oil", asset_id=asset["id"], every_months=None, metric="hours",
        every_reading="500",
    )  # fmt: skip
    assert (plan["next_reading"], plan["next_due_on"], plan["starts_on"]) == ("500", None, None)
    await worker.run(open_due_work)
    assert await listed(owner, "work-orders") == []
    await send(owner, asset, ("2026-01-02T00:00:00Z", 1_100.0), metric="hours")
    await asyncio.gather(*(worker.run(open_due_work) for _ in range(6)))
    (made,) = await listed(owner, "work-orders")
    assert (made["due_reading"], made["due_on"], made["planned_on"]) == ("500", "2026-03-02", None)
    assert (await now(owner, "maintenance-plans", plan))["next_reading"] == "1500"
    await send(owner, asset, ("2026-01-03T00:00:00Z", 1_500.0), metric="hours")
    await worker.run(open_due_work)
    assert sorted(one["due_reading"] for one in await listed(owner, "work-orders")) == ["1500", "500"]


async def test_plans_that_rest_open_nothing(owner: Client, worker: Worker, clock: FixedClock) -> None:
    retired = await asset_of(owner, status="retired")
    for fields in (
        {"asset_id": retired["id"]},
        {"asset_id": (await asset_of(owner))["id"], "is_active": False},
    ):
        await make(owner, "maintenance-plans", name="Inspect", starts_on="2026-01-01", **fields)
    await worker.run(open_due_work)
    assert await listed(owner, "work-orders") == []


async def test_a_plan_needs_a_rhythm(company: Company, owner: Client) -> None:
    asset = await asset_of(owner)
    for fields, pointer in (
        ({"every_months": None}, "/every_months"),
        ({"metric": "hours"}, "/metric"),
        ({"metric": "hours", "every_reading": "0"}, "/every_reading"),
        ({"asset_id": str(uuid4())}, "/asset_id"),
        ({"every_months": None, "starts_on": "2026-01-01"}, "/starts_on"),
    ):
        answer = await owner.post(
            "/v1/maintenance-plans", json={"name": "x", "asset_id": asset["id"]} | fields
        )
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await count(company, "after_sales.maintenance_plans") == 0


@given(st.dates(date(2000, 1, 1), date(2050, 1, 1)), st.integers(1, 60), st.integers(-2_000, 5_000))
def test_the_next_due_day_is_the_first_of_the_rhythm_after_a_day(start: date, every: int, days: int) -> None:
    day = start + timedelta(days=days)
    rhythm = [add_months(start, every * n) for n in range(200)]
    assert due_after(start, every, day) == next(one for one in rhythm if one > day)


@given(st.decimals("0.0001", "100000", places=4), st.decimals("0", "1000000", places=4))
def test_the_next_reading_is_the_first_multiple_beyond_what_is_shown(every: Decimal, shown: Decimal) -> None:
    found = reading_after(every, shown)
    assert found % every == 0
    assert found - every <= shown < found


async def test_reading_work_orders_takes_a_fixed_number_of_statements(
    company: Company, owner: Client
) -> None:
    ids = [UUID((await work_order_of(owner))["id"]) for _ in range(5)]
    async with acting(company) as uow:
        before = uow.statements
        assert len(await WorkOrderService(uow).get_many(ids)) == 5
        assert uow.statements - before == 1


async def test_a_case_takes_the_response_class_that_was_agreed_and_its_promises_follow(
    owner: Client, account: Json
) -> None:
    asset = await asset_of(owner, account_id=account["id"])
    await contract_of(owner, account, response_class="silver")
    await contract_of(owner, account, asset_id=asset["id"], response_class="gold")
    await contract_of(owner, account, response_class="old", ends_on="2026-01-02")
    condition = {"or": [{"and": [{"field": "response_class", "op": "eq", "value": "gold"}]}]}
    await owner.ok(
        "POST",
        "/v1/sla-policies",
        json={"name": "Gold", "conditions": condition, "first_response_minutes": 15},
    )
    cases = [
        await case_of(owner, account_id=account["id"]),
        await case_of(owner, asset_id=asset["id"]),
        await case_of(owner),
    ]
    assert [case["response_class"] for case in cases] == ["silver", "gold", None]
    assert [case["due_at"] is not None for case in cases] == [False, True, False]
    moved = await owner.ok("PATCH", f"/v1/cases/{cases[0]['id']}", json={"asset_id": asset["id"]}, if_match=1)
    assert (moved["response_class"], moved["due_at"] is not None) == ("gold", True)


# -- parts and stock ---------------------------------------------------------------------------------------------


async def level(owner: Client, goods: Json) -> tuple[str, str]:
    """What is on hand, and what of it is free."""
    [found] = await listed(owner, f"stock-levels?product_id={goods['id']}")
    return found["on_hand"], found["available"]


async def test_parts_are_kept_when_work_is_scheduled_and_taken_out_at_its_sign_off(
    company: Company, owner: Client, account: Json
) -> None:
    goods = await product(owner)
    await stock(owner, "5", goods["id"])
    order = await work_order_of(owner, account_id=account["id"])
    path = f"/v1/work-orders/{order['id']}/parts"
    first = await owner.ok("POST", path, json={"product_id": goods["id"], "quantity": "2"})
    assert (first["from_stock"], await level(owner, goods)) == (True, ("5", "5"))
    await go(owner, order, ("schedule", WINDOW), ("schedule", WINDOW))
    assert await level(owner, goods) == ("5", "3")
    second = await owner.ok("POST", path, json={"product_id": goods["id"], "quantity": "1"})
    van = await owner.ok("POST", path, json={"product_id": goods["id"], "quantity": "9", "from_stock": False})
    assert (van["from_stock"], await level(owner, goods)) == (False, ("5", "2"))
    too_many = await owner.post(path, json={"product_id": goods["id"], "quantity": "3"})
    assert (too_many.status_code, too_many.json()["code"]) == (409, "out_of_stock")
    assert len(await listed(owner, f"work-orders/{order['id']}/parts")) == 3
    assert (await owner.delete(f"{path}/{second['id']}")).status_code == 204
    assert await level(owner, goods) == ("5", "3")
    done = await go(
        owner,
        order,
        ("start", None),
        ("finish", None),
        ("resume", None),
        ("finish", None),
        ("sign-off", {"signed_by": "R"}),
    )
    assert (done["status"], await level(owner, goods)) == ("signed_off", ("3", "3"))
    moved = (await listed(owner, f"stock-movements?product_id={goods['id']}"))[0]
    assert (moved["kind"], moved["quantity"], moved["reason"]) == ("shipped", "-2", order["number"])


async def test_work_that_is_cancelled_gives_its_parts_back(
    company: Company, owner: Client, account: Json
) -> None:
    goods = await product(owner)
    await stock(owner, "3", goods["id"])
    order = await work_order_of(owner, account_id=account["id"])
    part = {"product_id": goods["id"], "quantity": "3"}
    await owner.ok("POST", f"/v1/work-orders/{order['id']}/parts", json=part)
    await go(owner, order, ("start", None))
    assert await level(owner, goods) == ("3", "0")
    other = await work_order_of(owner, account_id=account["id"])
    await owner.ok("POST", f"/v1/work-orders/{other['id']}/parts", json=part)
    refused = await step(owner, other, "schedule", WINDOW)
    assert (refused.status_code, refused.json()["code"]) == (409, "out_of_stock")
    assert (await now(owner, "work-orders", other))["status"] == "draft"
    await go(owner, order, ("cancel", {"reason": "Repaired"}))
    assert await level(owner, goods) == ("3", "3")
    await go(owner, other, ("schedule", WINDOW))
    assert await level(owner, goods) == ("3", "0")


async def test_work_orders_at_once_keep_no_more_than_there_is(
    company: Company, owner: Client, account: Json
) -> None:
    goods = await product(owner)
    await stock(owner, "7", goods["id"])
    orders = [await work_order_of(owner, account_id=account["id"]) for _ in range(20)]
    for order in orders:
        part = {"product_id": goods["id"], "quantity": "1"}
        await owner.ok("POST", f"/v1/work-orders/{order['id']}/parts", json=part)
    answers = await asyncio.gather(*(step(owner, order, "schedule", WINDOW) for order in orders))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [409] * 13
    assert await level(owner, goods) == ("7", "0")


# -- timelines ---------------------------------------------------------------------------------------------------


async def test_timelines_tell_of_assets_their_work_and_what_was_said(
    company: Company, owner: Client, account: Json, clock: FixedClock
) -> None:
    asset = await asset_of(owner, account_id=account["id"], serial_number="S-1")
    case = await case_of(owner, asset_id=asset["id"])
    clock.set(clock.now() + timedelta(minutes=1))
    await owner.ok("POST", f"/v1/cases/{case['id']}/comments", json={"body": "Send a photo", "public": True})
    clock.set(clock.now() + timedelta(minutes=1))
    order = await work_order_of(owner, case_id=case["id"])
    clock.set(clock.now() + timedelta(minutes=1))
    await go(owner, order, ("start", None))
    kinds = "kind=asset,work_order,case_comment,case"
    told = await listed(owner, f"accounts/{account['id']}/timeline?{kinds}")
    work, leak = f"{order['number']}: Replace the seal", f"{case['number']}: The pump leaks"
    assert [one["title"] for one in told][:3] == [
        f"Started {work}",
        f"Work order {work}",
        f"Answer on {leak}",
    ]
    assert sorted(one["title"] for one in told[3:]) == ["Asset Pump 7, S-1", f"Case {leak}"]
    assert told[2]["text"] == "Send a photo"
    of_asset = await listed(owner, f"timeline?object=asset&record_id={asset['id']}&{kinds}")
    assert [one["kind"] for one in of_asset] == ["work_order", "work_order", "case_comment", "case"]
    of_case = await listed(owner, f"timeline?object=case&record_id={case['id']}&kind=work_order,case_comment")
    assert [one["kind"] for one in of_case] == ["work_order", "work_order", "case_comment"]
