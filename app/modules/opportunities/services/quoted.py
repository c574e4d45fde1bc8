"""An opportunity is won by the quote that the customer accepted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.models import Opportunity, OpportunityStatus
from app.modules.opportunities.services.opportunities import OpportunityService
from app.modules.opportunities.services.outcomes import OPEN


async def won_by_quote(uow: UnitOfWork, id: UUID, net: Money) -> None:
    """Win it at what was agreed without tax; where it has lines its amount stays their sum.

    One that is closed or gone stays as it is. The customer has bought: no reason is asked for.
    """
    row = await uow.find(Opportunity, id, lock="update")
    if row is None or row.status != OPEN:
        return
    service = OpportunityService(uow)
    changes: dict[str, Any] = {"status": OpportunityStatus.WON.value}
    if not row.line_count:
        changes |= {"amount": net.amount_minor, "currency": net.currency}
    await service.settle(row, changes)
    await service.write(row, changes, action=OpportunityStatus.WON.value)
