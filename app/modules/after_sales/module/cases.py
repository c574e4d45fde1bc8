"""Registers what after_sales knows of cases."""

from __future__ import annotations

from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.registry import Module
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import TimelineSource, ToDoSource
from app.modules.after_sales.interface import Cases
from app.modules.after_sales.router import cases
from app.modules.after_sales.services.cases.cases import CASE
from app.modules.after_sales.services.cases.for_others import CasesOfTenant
from app.modules.after_sales.services.cases.on_accounts import (
    CasePanel,
    CaseProducts,
    CaseTimeline,
    CaseUses,
    CaseWork,
)
from app.modules.after_sales.services.cases.to_dos import CaseToDos
from app.modules.catalog.interface import ProductUser
from app.modules.customers.interface import AccountPanel, AccountUser

PART = Module(
    name="after_sales",
    tags={"cases": "What customers ask for: cases, how they go on, and by when they are due."},
    routers=(cases.records, cases.router),
    records=(CASE,),
    interfaces={Cases: CasesOfTenant},
    ports=(
        (AccountPanel, CasePanel),
        (AccountUser, CaseUses),
        (ProductUser, CaseProducts),
        (OpenWork, CaseWork),
        (TimelineSource, CaseTimeline),
        (ToDoSource, CaseToDos),
        (Merger, record_column(CASE, "account_id", "account")),
        (Merger, record_column(CASE, "contact_id", "contact")),
    ),
)
