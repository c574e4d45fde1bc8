"""Wire schemas of payments."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.kernel.money import MoneyOut
from app.kernel.schemas import Input, Output, ShortText
from app.tenants.people.schemas import Address, TaxNumber


class PaymentMethodRead(Output):
    """A card or account that is stored at the provider; its number is known there only."""

    id: UUID
    kind: str = Field(examples=["card"])
    brand: str | None = Field(examples=["visa"])
    last4: str | None = Field(examples=["4242"])
    exp_month: int | None
    exp_year: int | None
    is_default: bool = Field(description="Whether it is the one that is charged.")
    stored_at: datetime


class PaymentMethodList(Output):
    provider: Literal["offline", "stripe"]
    data: list[PaymentMethodRead]


class PaymentMethodCreate(Input):
    """A method that the provider's own form made in the browser."""

    reference: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,100}$")] = Field(
        examples=["pm_1QfXK2LkdIwHu7ix"]
    )
    is_default: bool = Field(True, description="Charge this one from now on.")


class CheckoutRequest(Input):
    """To store a way to pay, or with `bill_id` to pay that invoice with whatever one likes."""

    bill_id: UUID | None = Field(None, description="The invoice; absent: store a way to pay.")


class HandOverRead(Output):
    """Where to send the browser; it comes back by itself."""

    url: str
    expires_at: datetime | None


class BillPay(Input):
    payment_method_id: UUID | None = Field(None, description="Absent: the default one.")


class PaymentAttemptRead(Output):
    """An attempt to take what is due of an invoice."""

    id: UUID
    status: Literal["started", "pending", "succeeded", "failed"]
    step: int | None = Field(description="Which of the eight of dunning it was; null: somebody asked for it.")
    amount: MoneyOut
    failure_code: str | None
    failure_message: str | None
    started_at: datetime
    ended_at: datetime | None


class PaymentAttemptList(Output):
    data: list[PaymentAttemptRead]


class BillingDetails(Output):
    """Whom bills are made out to."""

    legal_name: str | None
    address: str | None
    tax_number: str | None
    version: int = Field(description="Of the company; the ETag.")


class BillingDetailsUpdate(Input):
    legal_name: ShortText | None = Field(None, description="Where it is not the company's name.")
    address: Address | None = Field(None, description="Line by line.")
    tax_number: TaxNumber | None = None


class WebhookTaken(Output):
    outcome: Literal["handled", "ignored", "duplicate"]
