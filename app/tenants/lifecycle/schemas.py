"""Wire schemas of an account's life."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from app.kernel.schemas import Input, Output
from app.tenants.lifecycle.account import CancelWhen


class BillingAccountRead(Output):
    """How the company's account stands, and when what follows."""

    status: Literal["trialing", "active", "past_due", "suspended", "cancelled", "erased"]
    trial_ends_at: datetime | None
    past_due_since: datetime | None = Field(description="Since when a bill could not be paid.")
    suspended_at: datetime | None
    suspended_for: Literal["unpaid", "trial_over", "operator"] | None
    cancel_at: datetime | None = Field(description="When a planned cancellation takes effect.")
    cancelled_at: datetime | None
    export_until: datetime | None = Field(
        description="Until then a cancelled account can be exported, paid and taken up again; then it is erased."
    )


class CancelSubscription(Input):
    when: CancelWhen = Field(
        CancelWhen.PERIOD_END, description="At once, or when the trial or the paid period is over."
    )
    reason: Annotated[str, StringConstraints(max_length=500), Field(examples=["We close shop."])] = ""
