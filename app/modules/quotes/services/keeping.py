"""The PDF of a quote is made when the quote is sent, so that it shows the company as it was then."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.jobs import JobContext
from app.kernel.registry import JobKind, Subscription
from app.kernel.uow import UnitOfWork
from app.modules.quotes.services.document import quote_pdf

JOB: Final = "quotes.keep_pdf"


class SentQuote(BaseModel):
    """As much of `quotes.quote.sent.v1` as matters here, and the order of the job."""

    id: UUID


async def on_sent(uow: UnitOfWork, event: SentQuote) -> None:
    """Order the file; making it takes longer than a reaction should."""
    uow.enqueue(JOB, event.model_dump(mode="json"))


async def keep_pdf(context: JobContext, order: SentQuote) -> None:
    """Make and keep the file. Raises: DocumentNotRendered, and the job is tried again."""
    await quote_pdf(context.kernel, context.actor.tenant, order.id, None, request_id=context.request_id)


SUBSCRIPTION: Final = Subscription("quotes.quote.sent.v1", SentQuote, on_sent, "quotes.pdf")
KIND: Final = JobKind(JOB, SentQuote, keep_pdf)
