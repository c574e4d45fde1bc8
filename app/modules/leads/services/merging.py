"""What hangs on leads by tables that are no record types, and moves along when leads become one.

How merged leads came to their owners stays with them: that log is never changed. So do their response clocks,
which ended with them, and their places in plans of assignment, which say what was planned.
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


def consents(uow: UnitOfWork) -> LinkColumn:
    """What the people agreed to, and when."""
    return LinkColumn(uow, "leads.consents", "lead_id", kind="consents", objects=["lead"])
