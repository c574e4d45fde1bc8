"""What hangs on contacts by a table that is no record type, and moves along when contacts become one."""

from __future__ import annotations

from app.kernel.merging.references import LinkColumn
from app.kernel.uow import UnitOfWork


def committee_seats(uow: UnitOfWork) -> LinkColumn:
    """Seats in buying committees; somebody sits in one only once."""
    return LinkColumn(
        uow,
        "opportunities.committee",
        "contact_id",
        kind="committee_seats",
        objects=["contact"],
        unique="t.opportunity_id",
    )
