"""What the tests of membership share: programmes, members, delivered orders, returns, and what points come to."""

from __future__ import annotations

from typing import Any

from app.kernel.access import system_actor
from app.kernel.money_checks import differences_of
from app.kernel.outbox import Relay
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import transaction
from app.modules.membership import jobs
from tests.modules.orders.orders import line, order_of, ship, stepped
from tests.modules.orders.test_returns import ARRIVED, back, go
from tests.modules.support import make
from tests.support.api import Client, Company

Json = dict[str, Any]
ONE_PER_DOLLAR: Json = {"key": "base", "kind": "amount", "points": 1, "per_amount": "1"}


async def programme(owner: Client, **fields: Any) -> Json:
    """A programme in dollars: one point for each, 100 points are worth one dollar."""
    body = {
        "key": "club",
        "name_en": "Club",
        "currency": "USD",
        "burn": {"points": 100, "worth": {"amount": "1.00", "currency": "USD"}},
        "earn_rules": [ONE_PER_DOLLAR],
    }
    made: Json = await owner.ok("POST", "/v1/loyalty-programmes", json=body | fields)
    return made


async def enrol(owner: Client, club: Json, account: Json, **fields: Any) -> Json:
    return await make(owner, "loyalty-members", programme_id=club["id"], account_id=account["id"], **fields)


async def again(owner: Client, member: Json) -> Json:
    found: Json = await owner.ok("GET", f"/v1/loyalty-members/{member['id']}")
    return found


async def balances(owner: Client, member: Json) -> tuple[int, int, int, int]:
    """To spend, pending, reserved, debt."""
    found = await again(owner, member)
    return found["points"], found["points_pending"], found["points_reserved"], found["points_debt"]


async def react(company: Company) -> None:
    """Let everybody react to what has happened."""
    kernel = company.app.kernel
    assert kernel is not None
    while await Relay(kernel).run_once():
        pass


async def calendar(company: Company) -> None:
    """What the schedule does."""
    await jobs.follow_calendar(await scheduled(company))


async def scheduled(company: Company) -> ScheduledRun:
    kernel = company.app.kernel
    assert kernel is not None
    return ScheduledRun(kernel, await kernel.authenticator.tenant_profile(company.tenant_id))


async def delivered(company: Company, account: Json, *lines: Json, **fields: Any) -> Json:
    """An order that went out whole, and what that earned."""
    order = await order_of(company.owner, account, *(lines or (line("1", "100.00"),)), **fields)
    order = await stepped(company.owner, order, "confirm")
    answer = await ship(company.owner, order)
    assert answer.is_success, answer.text
    await react(company)
    return order


async def gave_back(company: Company, order: Json, *lines: tuple[int, str]) -> Json:
    """A return of quantities of lines by position, refunded."""
    owner = company.owner
    made = await owner.ok("POST", "/v1/returns", json=back(order, *lines))
    found = await go(owner, made, *ARRIVED, "refund")
    await react(company)
    return found


async def merged(owner: Client, account: Json, *others: Json) -> Json:
    """Accounts become the first one."""
    rows = [await owner.ok("GET", f"/v1/accounts/{one['id']}") for one in (account, *others)]
    records = [{"id": row["id"], "version": row["version"]} for row in rows]
    body = {"records": records, "master_id": account["id"]}
    found: Json = await owner.ok("POST", "/v1/accounts/merge", json=body)
    return found


async def burn(owner: Client, member: Json, points: int, **fields: Any) -> Json:
    made: Json = await owner.ok(
        "POST", f"/v1/loyalty-members/{member['id']}/burns", json={"points": points} | fields
    )
    return made


async def adjust(owner: Client, member: Json, points: int, **fields: Any) -> Json:
    body = {"points": points, "reason": "goodwill"} | fields
    made: Json = await owner.ok("POST", f"/v1/loyalty-members/{member['id']}/adjustments", json=body)
    return made


async def adds_up(company: Company) -> None:
    """Balances, lots and the ledger say the same."""
    kernel = company.app.kernel
    assert kernel is not None
    actor = system_actor(await kernel.authenticator.tenant_profile(company.tenant_id))
    async with transaction(kernel, actor) as uow:
        assert await differences_of(uow) == []
