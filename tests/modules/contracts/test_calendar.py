"""The calendar: what falls due, ends, renews and is reminded of, on the company's own days, once, however many run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from app.kernel.clock import FixedClock
from app.kernel.money import Money
from app.modules.contracts.interface import Contracts
from tests.modules.contracts.deals import (
    act,
    again,
    calendar,
    draft,
    ids,
    item,
    money,
    part,
    pointers,
    put,
    refusal,
    schedule,
    sign,
    signed,
    try_act,
)
from tests.modules.contracts.test_for_others import draw
from tests.modules.support import acting, count, make, subject_id
from tests.support.api import Client, Company
from tests.tenants.people import Look

Json = dict[str, Any]


async def move_to_shanghai(owner: Client) -> None:
    tenant = await owner.ok("GET", "/v1/tenant")
    await owner.ok("PATCH", "/v1/tenant", json={"time_zone": "Asia/Shanghai"}, if_match=tenant["version"])


async def told(look: Look, company: Company, event: str) -> list[Any]:
    return list(
        await look.rows(
            "SELECT record_id, data->>'status' AS status, data->>'successor_id' AS successor_id,"
            " data->>'reason' AS reason FROM kernel.outbox"
            " WHERE tenant_id = $1 AND type = 'contracts.contract.' || $2 || '.v1' ORDER BY id",
            company.tenant_id,
            event,
        )
    )


async def at_once(work: Callable[[], Awaitable[None]], times: int = 6) -> None:
    await asyncio.gather(*(work() for _ in range(times)))


async def everything(owner: Client) -> list[Json]:
    found: list[Json] = (await owner.ok("GET", "/v1/contracts?sort=starts_on"))["data"]
    return found


# -- instalments ---------------------------------------------------------------------------------------------


async def test_instalments_fall_due_and_are_overdue_by_the_companys_midnight(
    company: Company, owner: Client, clock: FixedClock, look: Look
) -> None:
    await move_to_shanghai(owner)
    contract = await signed(
        owner,
        [
            item("One", percent="50", rule="on_date", date="2026-03-02"),
            item("Two", percent="50", rule="on_date", date="2026-03-03"),
        ],
    )

    async def statuses() -> list[str]:
        await at_once(lambda: calendar(company, "move_instalments"))
        return [row["status"] for row in await part(owner, contract, "plan")]

    clock.set(datetime(2026, 3, 1, 15, 59, 59, tzinfo=UTC))
    assert await statuses() == ["pending", "pending"]
    clock.set(datetime(2026, 3, 1, 16, 0, tzinfo=UTC))  # midnight in Shanghai
    assert await statuses() == ["due", "pending"]
    clock.set(datetime(2026, 3, 2, 15, 59, 59, tzinfo=UTC))
    assert await statuses() == ["due", "pending"]
    clock.set(datetime(2026, 3, 2, 16, 0, tzinfo=UTC))
    assert await statuses() == ["overdue", "due"]
    (first, second) = ids(await part(owner, contract, "plan"))
    async with acting(company) as uow:
        await uow.of(Contracts).paid(second, Money(1, "USD"))
        await uow.of(Contracts).paid(first, Money(600_00, "USD"))
    assert await statuses() == ["paid", "partly_paid"]
    clock.set(datetime(2026, 3, 9, tzinfo=UTC))
    assert await statuses() == ["paid", "overdue"]
    events = await look.rows(
        "SELECT data->>'former' AS former, data->>'status' AS status FROM kernel.outbox WHERE tenant_id = $1"
        " AND type = 'contracts.contract.instalment_status_changed.v1' ORDER BY id",
        company.tenant_id,
    )
    assert sorted((row["former"], row["status"]) for row in events) == sorted(
        [("pending", "due"), ("due", "overdue"), ("pending", "due"), ("due", "partly_paid"), ("overdue", "paid"),
         ("partly_paid", "overdue")]
    )  # fmt: skip
    notices = (await owner.ok("GET", "/v1/notifications"))["data"]
    assert sorted(n["title"] for n in notices if n["kind"] == "contract.instalment_overdue") == [
        f"{contract['number']} Maintenance: One is overdue",
        f"{contract['number']} Maintenance: Two is overdue",
    ]


async def test_overdue_payments_and_ends_of_terms_wait_for_the_owner(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    plan = [item("Old", percent="100", rule="on_date", date="2026-02-01")]
    late = await signed(owner, plan)
    ending = await signed(owner, ends_on="2026-03-31")
    await signed(owner, ends_on="2026-04-01")
    to_dos = (await owner.ok("GET", "/v1/to-dos"))["data"]
    assert [(one["kind"], one["record_id"], one["due_at"], one["title"]) for one in to_dos] == [
        ("overdue_instalment", late["id"], "2026-02-02T00:00:00Z", f"{late['number']} Maintenance"),
        ("contract_renewal", ending["id"], "2026-04-01T00:00:00Z", f"{ending['number']} Maintenance"),
    ]
    await act(owner, ending, "renew", months=12)
    left = (await owner.ok("GET", "/v1/to-dos"))["data"]
    assert [one["kind"] for one in left] == ["overdue_instalment"]


# -- reminders -----------------------------------------------------------------------------------------------


async def test_an_owner_is_reminded_once_of_each_end(
    company: Company, owner: Client, clock: FixedClock, look: Look
) -> None:
    contract = await signed(owner, ends_on="2026-03-31", renewal_reminder_days=10)
    await signed(owner, ends_on="2026-03-31", renewal_reminder_days=None)
    await signed(owner, ends_on=None)
    clock.set(datetime(2026, 3, 20, 23, 59, tzinfo=UTC))
    await calendar(company, "remind")
    assert await told(look, company, "renewal_due") == []
    clock.set(datetime(2026, 3, 21, tzinfo=UTC))
    before = await again(owner, contract)
    await at_once(lambda: calendar(company, "remind"))
    assert [str(row["record_id"]) for row in await told(look, company, "renewal_due")] == [contract["id"]]
    notices = (await owner.ok("GET", "/v1/notifications"))["data"]
    assert [(n["kind"], n["title"], n["body"]) for n in notices] == [
        ("contract.renewal_due", f"Contract {contract['number']} Maintenance ends on 2026-03-31",
         "Decide whether it is renewed."),
    ]  # fmt: skip
    assert await again(owner, contract) == before
    path = f"/v1/contracts/{contract['id']}/amendments"
    longer = await owner.ok("POST", path, json={"title": "Longer", "changes": {"ends_on": "2026-06-30"}})
    await owner.ok("POST", f"{path}/{longer['id']}/submit", if_match=1)
    clock.set(datetime(2026, 6, 20, tzinfo=UTC))
    await at_once(lambda: calendar(company, "remind"))
    assert len(await told(look, company, "renewal_due")) == 2


# -- the end of the term -------------------------------------------------------------------------------------


async def test_a_term_that_is_over_has_expired(
    company: Company, owner: Client, clock: FixedClock, look: Look
) -> None:
    await move_to_shanghai(owner)
    contract = await signed(owner, ends_on="2026-03-31")
    open_ended = await signed(owner, ends_on=None)
    clock.set(datetime(2026, 3, 31, 15, 59, tzinfo=UTC))
    await calendar(company)
    assert (await again(owner, contract))["status"] == "active"
    clock.set(datetime(2026, 3, 31, 16, 0, tzinfo=UTC))
    await at_once(lambda: calendar(company))
    now = await again(owner, contract)
    assert (now["status"], now["version"]) == ("expired", 4)
    assert (await again(owner, open_ended))["status"] == "active"
    assert [row["status"] for row in await told(look, company, "ended")] == ["expired"]
    late = await act(owner, contract, "renew", months=1, uplift_percent="10")
    assert (late["status"], late["starts_on"], late["ends_on"], late["value"]) == (
        "draft", "2026-04-01", "2026-04-30", money("1320.00"),
    )  # fmt: skip
    assert (await again(owner, contract))["status"] == "renewed"


async def test_notice_is_given_and_the_contract_ends_on_its_day(
    company: Company, owner: Client, clock: FixedClock, look: Look
) -> None:
    plan = [
        item("Soon", percent="50", rule="on_date", date="2026-03-30"),
        item("On the day", percent="25", rule="on_date", date="2026-03-31"),
        item("Later", percent="25", rule="on_date", date="2026-09-30"),
    ]
    contract = await signed(owner, plan, notice_days=30)
    early = await try_act(owner, contract, "terminate", reason="x", terminates_on="2026-03-30")
    assert pointers(early) == [("/terminates_on", "notice_period")]
    beyond = await try_act(owner, contract, "terminate", reason="x", terminates_on="2027-01-02")
    assert pointers(beyond) == [("/terminates_on", "after_the_term")]
    future = await try_act(owner, contract, "terminate", reason="x", notice_given_on="2026-03-02")
    assert pointers(future) == [("/notice_given_on", "in_future")]
    assert (await again(owner, contract))["terminates_on"] is None
    under = await act(owner, contract, "terminate", reason="Moved abroad")
    assert [under[n] for n in ("status", "notice_given_on", "terminates_on", "termination_reason")] == [
        "active", "2026-03-01", "2026-03-31", "Moved abroad",
    ]  # fmt: skip
    under_notice = await try_act(owner, contract, "renew", months=1)
    assert pointers(under_notice) == [("", "under_notice")]
    withdrawn = await act(owner, contract, "withdraw-notice")
    assert withdrawn["terminates_on"] is None
    await act(owner, contract, "terminate", reason="Moved abroad")
    clock.set(datetime(2026, 3, 31, tzinfo=UTC))
    await at_once(lambda: calendar(company))
    now = await again(owner, contract)
    assert (now["status"], now["ends_on"]) == ("terminated", "2026-12-31")
    assert [row["status"] for row in await part(owner, contract, "plan")] == ["overdue", "void", "void"]
    assert [(row["status"], row["reason"]) for row in await told(look, company, "ended")] == [
        ("terminated", "Moved abroad")
    ]
    assert refusal(await try_act(owner, contract, "renew", months=1)) == (409, "invalid_transition")


async def test_notice_may_be_waived(owner: Client, clock: FixedClock, look: Look, company: Company) -> None:
    contract = await signed(owner, [item("Later", percent="100", rule="monthly")], notice_days=90)
    (first, *_) = ids(await part(owner, contract, "plan"))
    async with acting(company) as uow:
        await uow.of(Contracts).invoiced(first, Money(1, "USD"))
    done = await act(owner, contract, "terminate", reason="Agreed", waive_notice=True)
    assert (done["status"], done["terminates_on"]) == ("terminated", "2026-03-01")
    statuses = [row["status"] for row in await part(owner, contract, "plan")]
    assert statuses == ["overdue", "overdue"] + ["void"] * 10
    assert [row["status"] for row in await told(look, company, "ended")] == ["terminated"]


# -- renewal -------------------------------------------------------------------------------------------------


async def renewing(owner: Client, **more: Any) -> Json:
    """A contract that renews itself for a year, five percent dearer, with lines, parties, clauses and a plan."""
    contract = await draft(
        owner, starts_on="2025-04-01", ends_on="2026-03-31", auto_renew=True, renewal_months=12,
        renewal_uplift_percent="5", **more,
    )  # fmt: skip
    await put(owner, contract, "parties", parties=[{"role": "signatory", "name": "Li Na", "title": "CEO"}])
    await put(owner, contract, "lines", lines=[
        {"description": "Upkeep", "quantity": "12", "unit_price": money("100.00"), "charge": "monthly"},
    ])  # fmt: skip
    await put(owner, contract, "clauses", clauses=[{"title": "Sum", "body": "{{contract.value}}"}])
    await put(owner, contract, "plan", items=[
        item("Deposit", amount=money("200.01"), rule="on_date", date="2025-06-30"),
        item("Rate", amount=money("999.99"), rule="quarterly"),
    ])  # fmt: skip
    return await sign(owner, contract, signed_on="2025-03-20")


async def test_a_contract_renews_itself_once_however_many_workers_there_are(
    company: Company, owner: Client, clock: FixedClock, look: Look
) -> None:
    contract = await renewing(owner, renewal_status="active")
    await calendar(company)
    assert len(await everything(owner)) == 1
    clock.set(datetime(2026, 4, 1, tzinfo=UTC))
    await at_once(lambda: calendar(company), 12)
    former, made = await everything(owner)
    assert (former["status"], former["successor_id"]) == ("renewed", made["id"])
    same = (
        "title",
        "kind",
        "account_id",
        "owner_id",
        "team_id",
        "auto_renew",
        "renewal_months",
        "renewal_status",
    )
    assert [made[name] for name in same] == [contract[name] for name in same]
    assert [made[n] for n in ("status", "starts_on", "ends_on", "value", "predecessor_id", "revision", "signed_on")] == [
        "active", "2026-04-01", "2027-03-31", money("1260.00"), contract["id"], 1, None,
    ]  # fmt: skip
    assert made["number"] != former["number"]
    (line,) = await part(owner, made, "lines")
    assert (line["unit_price"], line["amount"], line["charge"]) == (
        money("105.00"),
        money("1260.00"),
        "monthly",
    )
    assert [row["name"] for row in await part(owner, made, "parties")] == ["Li Na"]
    assert [row["text"] for row in await part(owner, made, "clauses")] == ["1260.00 USD"]
    rows = await part(owner, made, "plan")
    assert [(row["amount"]["amount"], row["due_on"], row["status"]) for row in rows] == [
        ("210.01", "2026-06-30", "pending"), ("262.50", "2026-04-01", "due"), ("262.50", "2026-07-01", "pending"),
        ("262.50", "2026-10-01", "pending"), ("262.49", "2027-01-01", "pending"),
    ]  # fmt: skip
    assert [(row["status"], row["successor_id"]) for row in await told(look, company, "ended")] == [
        ("renewed", made["id"])
    ]
    assert len(await told(look, company, "activated")) == 2


async def test_missed_periods_are_made_up_for(company: Company, owner: Client, clock: FixedClock) -> None:
    await renewing(owner, renewal_status="active")
    clock.set(datetime(2028, 5, 1, tzinfo=UTC))
    await at_once(lambda: calendar(company), 4)
    await calendar(company)  # the four pass by what another holds, and may leave it to the next
    rows = await everything(owner)
    assert [(row["starts_on"], row["status"], row["value"]["amount"]) for row in rows] == [
        ("2025-04-01", "renewed", "1200.00"), ("2026-04-01", "renewed", "1260.00"),
        ("2027-04-01", "renewed", "1323.00"), ("2028-04-01", "active", "1389.15"),
    ]  # fmt: skip


async def test_a_successor_may_begin_as_a_draft_and_be_thrown_away(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    contract = await signed(owner, ends_on="2026-03-31")
    path = f"/v1/contracts/{contract['id']}/renew"
    version = (await again(owner, contract))["version"]
    answers = await asyncio.gather(*(owner.post(path, {"months": 6}, if_match=version) for _ in range(20)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201] + [412] * 19
    made = next(answer for answer in answers if answer.status_code == 201).json()
    assert (made["status"], made["starts_on"], made["ends_on"]) == ("draft", "2026-04-01", "2026-09-30")
    twice = await try_act(owner, contract, "renew", months=6)
    assert (*refusal(twice), twice.json()["successor_id"]) == (409, "contract_renewed", made["id"])
    assert (await again(owner, contract))["status"] == "active"
    await owner.ok("DELETE", f"/v1/contracts/{made['id']}", if_match=1)
    assert (await again(owner, contract))["successor_id"] is None
    second = await act(owner, contract, "renew", months=6)
    clock.set(datetime(2026, 4, 1, tzinfo=UTC))
    await at_once(lambda: calendar(company))
    now = await again(owner, contract)
    assert (now["status"], now["successor_id"]) == ("renewed", second["id"])
    assert await count(company, "contracts.contracts") == 2


async def test_the_database_itself_refuses_a_second_successor(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    import asyncpg

    contract = await signed(owner)
    first, second = await draft(owner), await draft(owner)

    async def follow(one: Json) -> None:
        async with acting(company) as uow:
            await uow.fetch(
                "UPDATE contracts.contracts SET predecessor_id = $3 WHERE tenant_id = $1 AND id = $2",
                uow.tenant_id,
                subject_id(one),
                subject_id(contract),
            )

    await follow(first)
    with pytest.raises(asyncpg.UniqueViolationError):
        await follow(second)


async def test_what_cannot_be_renewed_holds_up_nobody(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    stuck = await renewing(owner, renewal_status="active", renewal_reminder_days=None)
    good = await renewing(owner, renewal_status="active")
    await owner.ok(
        "POST",
        "/v1/custom-fields",
        json={"object": "contract", "key": "site", "type": "text", "labels": {"en": "Site"}},
    )
    async with acting(company) as uow:  # a plan that no schema made
        await uow.fetch(
            'UPDATE contracts.contracts SET plan = \'[{"label": "x", "percent": "50",'
            ' "due": {"rule": "after_signing"}}]\' WHERE tenant_id = $1 AND id = $2',
            uow.tenant_id,
            subject_id(stuck),
        )
    clock.set(datetime(2026, 4, 1, tzinfo=UTC))
    await calendar(company)
    assert (await again(owner, good))["status"] == "renewed"
    assert ((await again(owner, stuck))["status"], (await again(owner, stuck))["successor_id"]) == (
        "active",
        None,
    )


async def test_an_open_term_is_not_renewed(owner: Client) -> None:
    contract = await signed(owner, ends_on=None)
    assert pointers(await try_act(owner, contract, "renew", months=1)) == [("", "open_term")]
    closed = await signed(owner)
    assert pointers(await try_act(owner, closed, "renew")) == [("/months", "required")]


async def test_nothing_is_drawn_after_the_last_day_though_no_worker_ran(
    company: Company, owner: Client, clock: FixedClock
) -> None:
    from app.modules.contracts.interface import ContractNotActive

    contract = await signed(owner, ends_on="2026-03-31")
    clock.set(datetime(2026, 4, 1, tzinfo=UTC))
    with pytest.raises(ContractNotActive):
        await draw(
            company,
            subject_id(contract),
            subject_id(await make(owner, "accounts", name="x")),
            Money(1, "USD"),
        )
    assert (await again(owner, contract))["drawn"] == money("0.00")


async def test_the_schedule_is_registered_for_every_company(company: Company) -> None:
    found = schedule(company)
    assert (found.per_tenant, found.every.total_seconds()) == (True, 900)
