"""Toys that need approval: a module that asks, is told, and keeps count."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.outbox import Relay
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import (
    ApprovalQuestion,
    ApprovalRef,
    Approvals,
    ApprovalStatus,
    Resubmit,
)
from tests.modules.support import acting
from tests.support.api import Client, Company
from tests.support.fingerprint import changes, fingerprint
from tests.support.toy import TOY, Toy
from tests.tenants.people import Look

Json = dict[str, Any]


class ToySubject:
    """`ApprovalSubject`: an answer paints the toy, and `pieces` counts how often somebody was told."""

    object: ClassVar[str] = "toy"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def decided(self, record_id: UUID, status: ApprovalStatus, request: ApprovalRef) -> None:
        row = await self._uow.get(Toy, record_id, lock="update")
        colour = "blue" if status is ApprovalStatus.APPROVED else "red"
        await self._uow.update(row, colour=colour, pieces=(row.pieces or 0) + 1, phone=status.value)

    async def visible(self, record_ids: Collection[UUID]) -> Collection[UUID]:
        if not self._uow.actor.may("toy:read"):
            return []
        return await TOY.service(self._uow).get_many(list(record_ids))


def member(client: Client) -> str:
    return str(client.facts["member_id"])


async def act_as(company: Company, client: Client) -> Any:
    """Somebody as the kernel sees them."""
    return await company.kernel.authenticator.authenticate(f"Bearer {client.token}", None)


async def ask(company: Company, client: Client, toy: Json, **changes: Any) -> ApprovalRef:
    """Ask for approval of a toy as its module would; by default what is asked about is its price."""
    async with acting(company, await act_as(company, client)) as uow:
        row = await uow.get(Toy, UUID(toy["id"]))
        question: Json = {
            "object": "toy",
            "record_id": row.id,
            "label": f"Toy {row.name}",
            "row": row.__dict__,
            "fingerprint": str(row.price),
            "owner_id": row.owner_id,
            "resubmit": Resubmit.START,
        }
        return await uow.of(Approvals).request(ApprovalQuestion(**(question | changes)))


async def latest(company: Company, toy: Json) -> ApprovalRef | None:
    async with acting(company) as uow:
        return (await uow.of(Approvals).latest("toy", [UUID(toy["id"])])).get(UUID(toy["id"]))


async def make_toy(client: Client, **fields: Any) -> Json:
    made: Json = await client.ok("POST", "/v1/toys", json={"name": "Ball"} | fields)
    return made


async def told(client: Client, toy: Json) -> tuple[int | None, str | None]:
    """How often the toy's module was told an end, and which came last."""
    found = await client.ok("GET", f"/v1/toys/{toy['id']}")
    return found["pieces"], found["phone"]


def step(key: str = "first", *approvers: Json, **fields: Any) -> Json:
    return {"key": key, "name_en": key.title(), "approvers": list(approvers)} | fields


def named(*clients: Client) -> Json:
    return {"kind": "member", "member_ids": [member(client) for client in clients]}


async def process(company: Company, *steps: Json, **fields: Any) -> Json:
    body = {"name_en": "Discounts", "name_zh": "折扣", "object": "toy", "steps": list(steps)} | fields
    made: Json = await company.owner.ok("POST", "/v1/approval-processes", json=body)
    return made


async def report_to(company: Company, client: Client, boss: Client | None) -> None:
    """Make somebody the manager of a member."""
    path = f"/v1/members/{member(client)}"
    version = (await company.owner.ok("GET", path))["version"]
    manager = None if boss is None else member(boss)
    await company.owner.ok("PATCH", path, json={"manager_id": manager}, if_match=version)


async def deactivate(company: Company, client: Client, successor: Client | None = None) -> None:
    """Somebody leaves, and all that follows has happened."""
    path = f"/v1/members/{member(client)}"
    version = (await company.owner.ok("GET", path))["version"]
    body = {} if successor is None else {"hand_over_to": member(successor)}
    await company.owner.ok("POST", f"{path}/deactivate", json=body, if_match=version)
    while await Relay(company.kernel).run_once():
        pass


@asynccontextmanager
async def unchanged(company: Company, look: Look) -> AsyncIterator[None]:
    """What happens inside leaves no trace in any table."""
    before = await fingerprint(look.connection, company.tenant_id)
    yield
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


def over(amount: str) -> Json:
    """The condition that a toy costs more than so many dollars."""
    return {"or": [{"and": [{"field": "price", "op": "gt", "value": amount}]}]}


def usd(amount: str) -> Json:
    return {"amount": amount, "currency": "USD"}


async def actions(client: Client, ref: ApprovalRef) -> list[tuple[str, str | None]]:
    """What happened to a request, with the step it happened in."""
    found = await client.ok("GET", f"/v1/approvals/{ref.id}")
    return [(one["action"], one["step"]) for one in found["history"]]


async def waiting(client: Client) -> list[str]:
    """Labels of what waits for somebody."""
    page = await client.ok("GET", "/v1/approvals?view=waiting")
    return [one["label"] for one in page["data"]]
