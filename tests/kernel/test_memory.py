"""What a process remembers of tenants' settings, and notes for the choice between two ways that are both right."""

from __future__ import annotations

from typing import Any

from app.kernel import memory
from app.kernel.ids import new_id
from app.kernel.memory import Remembered, TenantMemory
from app.kernel.uow import UnitOfWork
from tests.modules.support import acting, require_held
from tests.support.api import Company


def test_what_is_noted_of_one_tenant_holds_of_no_other_and_until_it_is_noted_again() -> None:
    known, (mine, yours) = TenantMemory(), (new_id(), new_id())
    known.note("simple", mine, holds=True)
    assert (known.noted("simple", mine), known.noted("simple", yours)) == (True, False)
    assert not known.noted("other", mine)
    known.note("simple", mine, holds=False)
    assert not known.noted("simple", mine)


def test_what_is_noted_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(memory, "_MOST", 3)
    known, tenants = TenantMemory(), [new_id() for _ in range(4)]
    for one in tenants:
        known.note("simple", one, holds=True)
    assert [known.noted("simple", one) for one in tenants] == [False, False, False, True]


async def test_what_was_made_while_settings_were_read_and_is_gone_again_does_not_hold(
    company: Company,
) -> None:
    """Its row comes and goes between two looks, which find the same rows; only what was read shows it."""
    made: list[dict[str, Any]] = []

    async def names(uow: UnitOfWork) -> list[str]:
        if not made:
            made.append(
                await company.owner.ok("POST", "/v1/calendars", json=_HOURS | {"name": "Short-lived"})
            )
        return [row["name"] for row in await uow.fetch(_CALENDARS, uow.tenant_id)]

    kind: Remembered[list[str]] = Remembered("tenants.calendars", names, [])
    known = TenantMemory()
    await company.owner.ok("POST", "/v1/calendars", json=_HOURS)
    before = await look(company, known, kind)
    assert "Short-lived" in before
    [calendar] = made
    answer = await company.owner.delete(f"/v1/calendars/{calendar['id']}", if_match=calendar["version"])
    assert answer.status_code == 204
    after = await look(company, known, kind)
    assert after == [name for name in before if name != "Short-lived"]
    assert await look(company, known, kind) is after


async def test_what_was_made_while_held_settings_were_read_is_held_too(company: Company) -> None:
    made: list[dict[str, Any]] = []

    async def names(uow: UnitOfWork) -> list[str]:
        if not made:
            made.append(await company.owner.ok("POST", "/v1/calendars", json=_HOURS | {"name": "Meanwhile"}))
        return [row["name"] for row in await uow.fetch(_CALENDARS, uow.tenant_id)]

    kind: Remembered[list[str]] = Remembered("tenants.calendars", names, [])
    await company.owner.ok("POST", "/v1/calendars", json=_HOURS)
    async with acting(company) as uow:
        [[found], _] = await TenantMemory().exactly(uow, [kind], hold=True)
        assert "Meanwhile" in found
        await require_held(company, "tenants.calendars", made[0]["id"])


async def look(company: Company, known: TenantMemory, kind: Remembered[list[str]]) -> list[str]:
    async with acting(company) as uow:
        [[found], _] = await known.exactly(uow, [kind])
    names: list[str] = found
    return names


_HOURS = {"name": "Office", "time_zone": "UTC", "days": {"mon": [["09:00", "12:00"]]}}
_CALENDARS = "SELECT name FROM tenants.calendars WHERE tenant_id = $1 ORDER BY id"
