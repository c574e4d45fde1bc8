"""What the tests of reading share: money, what runs in the background, and opportunities with a dated past."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from app.kernel.access import Actor
from app.kernel.jobs import JobRunner
from app.kernel.outbox import Relay
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.models import Opportunity
from app.modules.opportunities.reading.sums import KeptSums
from app.modules.opportunities.services.opportunities import OpportunityService
from tests.modules.support import acting, actor_of
from tests.support.api import Company


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


def eur(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "EUR"}


async def background(company: Company) -> None:
    """Pass events on and run jobs until nothing is left to do."""
    kernel = company.app.kernel
    assert kernel is not None
    while await Relay(kernel).run_once():
        pass
    await JobRunner(kernel).run_due()


async def at(uow: UnitOfWork, moment: str) -> OpportunityService:
    """A service that acts at a moment."""
    uow.now = datetime.fromisoformat(moment)
    return OpportunityService(uow)


async def lived(company: Company, *steps: tuple[str, dict[str, Any]]) -> Opportunity:
    """An opportunity that was created by the first step and changed by the others, each at its moment."""
    actor = await actor_of(company)
    (moment, fields), *later = steps
    async with acting(company, actor) as uow:
        row = await (await at(uow, moment)).create({"name": "A", **fields})
    for moment, fields in later:
        async with acting(company, actor) as uow:
            row = await (await at(uow, moment)).update(row.id, fields, expected_version=None)
    return row


async def kept_right(company: Company) -> dict[str, int]:
    """How the kept sums differ from a recomputation; only zeros are right."""
    async with acting(company) as uow:
        return dict(await KeptSums(uow).differences())


RIGHT = {
    "opportunities.sums": 0,
    "opportunities.funnel_sums": 0,
    "opportunities.funnel_days": 0,
    "opportunities.passages": 0,
}


def hiding(actor: Actor, *fields: str) -> Actor:
    """The same actor, from whom fields of opportunities are hidden."""
    return replace(actor, hidden_fields={"opportunity": frozenset(fields)}, everything=True)


def ids(*records: dict[str, Any]) -> list[UUID]:
    return [UUID(record["id"]) for record in records]
