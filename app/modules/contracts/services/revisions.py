"""The revisions of a contract: what was in force, when, and in what two of them differ."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.uow import UnitOfWork
from app.modules.contracts.models import Contract
from app.modules.contracts.models.texts import Revision
from app.modules.contracts.schemas.texts import ContractComparison, Difference, RevisionRead
from app.modules.contracts.services.content import content_of, differences, without_amounts
from app.modules.contracts.services.contracts import ContractService


class RevisionService:
    """What was in force."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._contracts = ContractService(uow)

    async def keep(self, row: Contract, in_force_from: date, amendment_id: UUID | None = None) -> None:
        """Keep a contract as it is as its revision `row.revision`."""
        await self._uow.insert(
            Revision,
            contract_id=row.id,
            number=row.revision,
            content=await content_of(self._uow, row),
            amendment_id=amendment_id,
            in_force_from=in_force_from,
            created_by=self._uow.actor.member_id,
        )

    async def all(self, contract_id: UUID) -> list[RevisionRead]:
        """Oldest first. Raises `NotFound` for a contract that is not visible."""
        await self._contracts.get(contract_id)
        statement = self._uow.select(Revision).where(Revision.contract_id == contract_id)
        return [self._read(row) for row in await self._uow.all(statement.order_by(Revision.number))]

    async def get(self, contract_id: UUID, number: int) -> RevisionRead:
        """Raises `NotFound`."""
        await self._contracts.get(contract_id)
        statement = self._uow.select(Revision).where(
            Revision.contract_id == contract_id, Revision.number == number
        )
        found = await self._uow.first(statement)
        if found is None:
            raise NotFound
        return self._read(found)

    async def compare(self, contract_id: UUID, before: int, after: int) -> ContractComparison:
        """In what two revisions differ. Raises `NotFound`."""
        first, second = await self.get(contract_id, before), await self.get(contract_id, after)
        return ContractComparison(
            before=before,
            after=after,
            differences=[
                Difference(pointer=pointer, before=old, after=new)
                for pointer, old, new in differences(first.content, second.content)
            ],
        )

    def _read(self, row: Revision) -> RevisionRead:
        return RevisionRead(
            number=row.number,
            in_force_from=row.in_force_from,
            amendment_id=row.amendment_id,
            created_at=row.created_at,
            created_by=row.created_by,
            content=without_amounts(row.content) if self._contracts.hides_value else row.content,
        )
