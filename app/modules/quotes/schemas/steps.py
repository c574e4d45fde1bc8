"""The wire shapes of what is done with a quote: approval, sending, answers, comparison."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from app.kernel.contact import Email
from app.kernel.money import MoneyOut
from app.kernel.schemas import Input, LongText, Output, ShortText
from app.modules.automation.interface import Resubmit
from app.modules.quotes.models import AnswerKind, QuoteStatus


class QuoteSubmission(Input):
    """Something for those who approve."""

    note: LongText | None = None
    resubmit: Resubmit = Field(Resubmit.START, description="Where a request that was refused goes on.")
    chosen_ids: Annotated[list[UUID], Field(max_length=20)] = Field(
        default_factory=list, description="Members to decide, for steps that leave the choice to you."
    )


class QuoteRecall(Input):
    """Why it goes back to the draft."""

    note: LongText | None = None


class Sending(Input):
    """How the quote goes to the customer."""

    by_mail: bool = Field(True, description="Mail the link; else make one by `/links` and hand it over.")
    to: Email | None = Field(None, description="Absent: the contact's address.")
    message: LongText | None = Field(None, description="Stands in the mail before the link.")


class Acceptance(Input):
    """What the customer agreed to, written down by a member."""

    name: ShortText = Field(description="Who accepted.", examples=["Li Hua"])
    job_title: ShortText | None = None
    note: LongText | None = None
    chosen_line_ids: Annotated[list[UUID], Field(max_length=500)] = Field(
        default_factory=list, description="The optional lines that are bought too."
    )
    signature: ShortText | None = Field(None, description="Required where the quote asks for a signature.")
    payment_reference: ShortText | None = Field(
        None, description="How it was paid; required where the quote asks for payment."
    )


class QuoteRefusal(Input):
    """Why the customer declined."""

    reason: LongText | None = Field(None, examples=["Too expensive"])
    name: ShortText | None = Field(None, description="Who declined.")


class AnswerRead(Output):
    """The one answer to a revision. `total` is what was agreed, chosen optional lines included."""

    quote_id: UUID
    kind: AnswerKind
    name: str | None
    job_title: str | None
    note: str | None = Field(description="Of a refusal the reason.")
    signature: str | None
    payment_reference: str | None
    address: str | None = Field(description="The network address that it came from.")
    member_id: UUID | None = Field(description="Who wrote it down; null where the customer answered.")
    at: datetime
    chosen_line_ids: list[UUID]
    total: MoneyOut | None
    prepayment: MoneyOut | None = Field(description="What is due on acceptance.")
    order_id: UUID | None
    contract_id: UUID | None


class QuoteStepRead(Output):
    """A change of status."""

    id: UUID
    action: str
    from_status: QuoteStatus | None
    to_status: QuoteStatus
    at: datetime
    actor_id: UUID | None
    note: str | None


class QuoteSteps(Output):
    """The way of a quote through its states, oldest first."""

    data: list[QuoteStepRead]


class LineChange(Output):
    """A line that came, went, or differs; positions in the one quote and the other."""

    kind: Literal["added", "removed", "changed"]
    before: int | None
    after: int | None
    description: str
    fields: dict[str, list[Any]] = Field(description="Field → [here, there].")


class QuoteComparison(Output):
    """What differs between two quotes."""

    fields: dict[str, list[Any]] = Field(description="Field → [here, there].")
    lines: list[LineChange]


class PriceChangeRead(Output):
    """A price that changed since the quote was made, of one unit in the quote's currency."""

    product_id: UUID
    product_name: str | None
    former: str | None
    price: str | None
    changed_at: datetime


class PriceChanges(Output):
    """What changed since, the oldest first; empty again once the quote is priced anew or its prices are kept."""

    data: list[PriceChangeRead]
