"""Proof that money adds up: each module says where its figures and what they are made of differ, if anywhere.

`rapport check money` asks all of them, for one company or all. Nothing is written, and all of a company is read as
it was at one moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol
from uuid import UUID

from app.kernel.access import TenantProfile, system_actor
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork, transaction


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure that is not what it is made of; amounts in minor units, quantities as they are."""

    rule: str
    object: str
    record_id: UUID
    stored: str
    computed: str

    def document(self) -> dict[str, Any]:
        return asdict(self)


class MoneyCheck(Protocol):
    """Port: a module whose figures can be recomputed."""

    async def differences(self) -> Sequence[Difference]:
        """Everything of this tenant that does not add up, in a bounded number of statements."""


async def compared(uow: UnitOfWork, rules: Mapping[str, tuple[str, str]]) -> list[Difference]:
    """Where rules do not hold: each is an object's name and a statement over the tenant, `$1`.

    It answers the `id`, `stored` and `computed` of every record that differs. One statement a rule.
    """
    found: list[Difference] = []
    for rule, (object_name, sql) in rules.items():
        rows = await uow.fetch(sql, uow.tenant_id)
        found += [
            Difference(rule, object_name, row["id"], str(row["stored"]), str(row["computed"])) for row in rows
        ]
    return found


async def check_money(kernel: Kernel, tenant: TenantProfile) -> list[Difference]:
    """All that does not add up in a company, as of one moment."""
    async with transaction(kernel, system_actor(tenant), read_only=True) as uow:
        await uow.fetch("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return await differences_of(uow)


async def differences_of(uow: UnitOfWork) -> list[Difference]:
    """What every module finds, in this transaction."""
    found: list[Difference] = []
    for check in uow.ports(MoneyCheck):
        found += await check.differences()
    return found
