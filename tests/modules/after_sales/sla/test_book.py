"""What a process knows of promises: never older than the case that asks, and read without many statements."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from app.kernel.records import to_json
from app.kernel.validation import fields_of
from app.main import Application
from app.modules.after_sales.schemas.cases import CaseCreate
from app.modules.after_sales.services.cases.cases import CaseService
from tests.modules.after_sales.cases.cases import again, case_of
from tests.modules.after_sales.sla.sla import OFFICE, calendar_of, policy_of
from tests.modules.support import acting, make
from tests.support import toy
from tests.support.api import Company, running, sign_in, stranger

Json = dict[str, Any]
URGENT = {"or": [{"and": [{"field": "priority", "op": "eq", "value": "urgent"}]}]}
PUMPS = {"or": [{"and": [{"field": "type", "op": "in", "value": ["pump", "valve"]}]}]}


@pytest.fixture
async def other(app: Application, worker_database: str, tmp_path: Path) -> AsyncIterator[Application]:
    """Another process of the same installation."""
    async with running(worker_database, tmp_path, (toy.MODULE,)) as found:
        yield found


async def due(company: Company, **fields: Any) -> str | None:
    """When a case is due that came in on a Monday of 2025, at nine in the morning."""
    made = await case_of(company.owner, opened_at="2025-03-03T09:00:00Z", **fields)
    assert made == await again(company.owner, made)
    found: str | None = made["due_at"]
    return found


async def test_what_another_process_changes_holds_for_the_next_case(
    company: Company, other: Application
) -> None:
    there = await sign_in(stranger(other), company.email)
    assert await due(company) is None
    await there.ok(
        "PATCH", "/v1/tenant", json={"time_zone": "UTC", "business_calendar": {"days": OFFICE}}, if_match=1
    )
    policy = await policy_of(there, resolution_minutes=60)
    assert await due(company) == "2025-03-03T10:00:00Z"
    late = {day: [["14:00", "17:00"]] for day in OFFICE}
    await there.ok("PATCH", "/v1/tenant", json={"business_calendar": {"days": late}}, if_match=2)
    assert await due(company) == "2025-03-03T15:00:00Z"
    hours = await calendar_of(there, is_default=True)
    assert await due(company) == "2025-03-03T10:00:00Z"
    at = f"/v1/calendars/{hours['id']}"
    hours = await there.ok("PATCH", at, json={"days": {"mon": [["12:00", "13:00"]]}}, if_match=1)
    assert await due(company) == "2025-03-03T13:00:00Z"
    at = f"/v1/sla-policies/{policy['id']}"
    await there.ok("PATCH", at, json={"resolution_minutes": 30}, if_match=1)
    assert await due(company) == "2025-03-03T12:30:00Z"
    await there.ok("PATCH", at, json={"conditions": URGENT}, if_match=2)
    assert [await due(company), await due(company, priority="urgent")] == [None, "2025-03-03T12:30:00Z"]
    await there.ok("PATCH", at, json={"enabled": False}, if_match=3)
    assert await due(company, priority="urgent") is None
    await there.ok("PATCH", at, json={"enabled": True}, if_match=4)
    assert await due(company, priority="urgent") == "2025-03-03T12:30:00Z"
    assert (await there.delete(at, if_match=5)).status_code == 204
    assert await due(company, priority="urgent") is None


async def _promise_and_break_off(company: Company, policy_id: UUID) -> None:
    async with acting(company) as uow:
        await uow.fetch(
            "UPDATE after_sales.sla_policies SET resolution_minutes = 5, version = 2 WHERE tenant_id = $1 AND id = $2",
            uow.tenant_id,
            policy_id,
        )
        [pledged] = await CaseService(uow).clocks.book.pledges([{"priority": "low"}])
        assert [pledge.goal for pledge in pledged.values()] == [300]
        raise RuntimeError("changed my mind")


async def test_what_is_rolled_back_is_not_remembered(company: Company) -> None:
    policy = await policy_of(company.owner, resolution_minutes=60)
    await calendar_of(company.owner, is_default=True)
    with pytest.raises(RuntimeError, match="changed my mind"):
        await _promise_and_break_off(company, UUID(policy["id"]))
    assert await due(company) == "2025-03-03T10:00:00Z"
    await company.owner.ok(
        "PATCH", f"/v1/sla-policies/{policy['id']}", json={"resolution_minutes": 120}, if_match=1
    )  # the same version as was rolled back
    assert await due(company) == "2025-03-03T11:00:00Z"


async def test_a_case_is_opened_and_changed_in_few_statements_however_much_is_promised(
    company: Company, account: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One holds the customer and reads what is promised; one numbers; one writes it all. Of a change one holds the
    case, and one writes and answers it.
    """
    await calendar_of(company.owner, is_default=True)
    spent = []
    for number in range(2):
        for place in range(number * 9 + 1):
            await policy_of(
                company.owner,
                name=f"{number}-{place}",
                conditions=URGENT,
                first_response_minutes=60,
                resolution_minutes=600,
            )
            rule = {"name": f"{number}-{place}", "conditions": PUMPS, "skills": [{"skill": "pumps"}]}
            await company.owner.ok("POST", "/v1/case-skill-rules", json=rule)
        given = {"subject": "It leaks", "type": "pump", "priority": "urgent", "account_id": account["id"]}
        case = await case_of(company.owner, **given)  # what has changed is read once
        for known in (company.kernel.memory, company.kernel.custom_fields):
            monkeypatch.setattr(
                known, "_seconds", lambda: 0.0
            )  # what is asked once in a while is not, meanwhile
        async with acting(company) as uow:
            service = CaseService(uow)
            # What this process has changed it asks for at each use for a while: `skills` are said instead.
            body = CaseCreate.model_validate({**given, "skills": []})
            row = await service.create(fields_of(body))
            made = await service.answer(row)
        assert [clock["target"] for clock in made["clocks"]] == ["first_response", "resolution"]
        created = uow.statements
        async with acting(company) as uow:
            service = CaseService(uow)
            row = await service.get(UUID(case["id"]), action="update", lock="update")
            changed = await service.write(row, {"subject": "It drips"})
            told = orjson.loads(to_json(await service.answer(changed)))
        assert (told["customer_status"], told["subject"]) == ("received", "It drips")
        spent.append((created, uow.statements))
    assert spent == [(3, 2), (3, 2)]


async def test_a_new_case_is_answered_as_it_is_read(company: Company) -> None:
    owner = company.owner
    await calendar_of(owner, is_default=True)
    await policy_of(owner, first_response_minutes=60, resolution_minutes=600)
    opened = {"opened_at": "2025-03-03T09:00:00.1200Z"}
    resolved = opened | {"first_response_at": "2025-03-03T09:10:00Z", "resolved_at": "2025-03-05T09:00:00Z"}
    for fields in ({}, opened, resolved):
        made = await make(owner, "cases", subject="It leaks", **fields)
        assert made["clocks"]
        assert made == await again(owner, made)
