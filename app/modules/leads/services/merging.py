"""What hangs on leads by tables that are no record types, and moves along when leads become one.

How merged leads came to their owners stays with them: that log is never changed.
"""

from __future__ import annotations

from app.kernel.merging.references import LinkColumn
from app.kernel.uow import UnitOfWork


def behaviours(uow: UnitOfWork) -> LinkColumn:
    """What the leads did; the same occurrence counts once."""
    return LinkColumn(
        uow,
        "leads.behaviours",
        "lead_id",
        kind="behaviours",
        objects=["lead"],
        unique="coalesce(t.source_id, t.id::text)",
    )
