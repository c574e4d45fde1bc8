"""Registers quotes: offers in revisions, their approval, and what customers answer."""

from __future__ import annotations

from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.registry import Module, Schedule
from app.modules.automation.interface import ApprovalSubject
from app.modules.quotes.interface import Quotes
from app.modules.quotes.router import records, router
from app.modules.quotes.services.approving import QuoteSubject
from app.modules.quotes.services.expiry import EVERY, expire_quotes
from app.modules.quotes.services.for_others import QuotesOfTenant
from app.modules.quotes.services.quotes import QUOTE

MODULE = Module(
    name="quotes",
    description="Offers in revisions, with lines, totals, approval and the customer's answer.",
    routers=(records, router),
    records=(QUOTE,),
    interfaces={Quotes: QuotesOfTenant},
    ports=(
        (ApprovalSubject, QuoteSubject),
        (Merger, record_column(QUOTE, "account_id", "account")),
        (Merger, record_column(QUOTE, "contact_id", "contact")),
    ),
    schedules=(Schedule("quotes.expire", EVERY, expire_quotes, per_tenant=True),),
    parts={"quote_answer": ("quote", {"total": "total", "prepayment": "total"})},
)
