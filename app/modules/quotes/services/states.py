"""The states of a quote's revision and the steps between them."""

from __future__ import annotations

from app.kernel.states import StateMachine
from app.modules.quotes.models import QuoteStatus

DRAFT, IN_APPROVAL, APPROVED = QuoteStatus.DRAFT, QuoteStatus.IN_APPROVAL, QuoteStatus.APPROVED
SENT, VIEWED = QuoteStatus.SENT, QuoteStatus.VIEWED
ACCEPTED, DECLINED = QuoteStatus.ACCEPTED, QuoteStatus.DECLINED
EXPIRED, SUPERSEDED = QuoteStatus.EXPIRED, QuoteStatus.SUPERSEDED
WITHDRAWN = QuoteStatus.WITHDRAWN

MACHINE: StateMachine[QuoteStatus] = StateMachine(
    name="The quote",
    initial=DRAFT,
    transitions={
        (DRAFT, "submit"): IN_APPROVAL,
        (DRAFT, "approve"): APPROVED,  # where nothing has to be asked
        (IN_APPROVAL, "approve"): APPROVED,
        (IN_APPROVAL, "refuse"): DRAFT,
        (IN_APPROVAL, "recall"): DRAFT,
        (APPROVED, "recall"): DRAFT,
        (APPROVED, "send"): SENT,
        (SENT, "view"): VIEWED,
        (SENT, "accept"): ACCEPTED,
        (VIEWED, "accept"): ACCEPTED,
        (SENT, "decline"): DECLINED,
        (VIEWED, "decline"): DECLINED,
        (SENT, "expire"): EXPIRED,
        (VIEWED, "expire"): EXPIRED,
        (SENT, "supersede"): SUPERSEDED,
        (VIEWED, "supersede"): SUPERSEDED,
        (EXPIRED, "supersede"): SUPERSEDED,
        (SENT, "withdraw"): WITHDRAWN,
        (VIEWED, "withdraw"): WITHDRAWN,
        (WITHDRAWN, "supersede"): SUPERSEDED,
    },
)

WITH_CUSTOMER = (SENT, VIEWED)
OPEN = (DRAFT, IN_APPROVAL, APPROVED, SENT, VIEWED)
"""What somebody still has to do something about."""
REVISABLE = (SENT, VIEWED, DECLINED, EXPIRED, WITHDRAWN)
"""What is changed by a new revision; whatever stands before it is edited, or recalled and edited."""
