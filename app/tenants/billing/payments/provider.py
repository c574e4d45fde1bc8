"""The port to whoever moves the money. Amounts are minor units of the bill's currency, as everywhere.

Nothing here is called inside a transaction: what a provider did is found by its key or reference and booked after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.kernel.errors import BadRequest, Conflict, Unavailable


class ChargeState(StrEnum):
    SUCCEEDED = "succeeded"
    PENDING = "pending"  # the bank has not said yet
    FAILED = "failed"


class Collection(StrEnum):
    """How a bill is paid: we charge what the company has stored, or it pays what it is sent."""

    CHARGE_AUTOMATICALLY = "charge_automatically"
    SEND_INVOICE = "send_invoice"


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """A company as its provider knows it."""

    tenant_id: UUID
    name: str
    email: str
    locale: str


@dataclass(frozen=True, slots=True)
class Charge:
    """One attempt to take what is due of a bill; the same `key` never takes it twice."""

    key: str
    tenant_id: UUID
    bill_id: UUID
    attempt_id: UUID
    number: str
    amount: int
    currency: str
    customer: str
    method: str

    @property
    def metadata(self) -> dict[str, str]:
        """By what a payment is recognised when the provider speaks of it."""
        return {
            "tenant_id": str(self.tenant_id),
            "bill_id": str(self.bill_id),
            "attempt_id": str(self.attempt_id),
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a charge; `amount` is what was taken, `code` and `message` say why nothing was."""

    state: ChargeState
    reference: str | None = None
    amount: int = 0
    currency: str = ""
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment as the provider has it, with the metadata by which it is recognised."""

    outcome: Outcome
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class InvoiceRequest:
    """A bill that the provider sends to the company, which pays it there."""

    tenant_id: UUID
    bill_id: UUID
    number: str
    amount: int
    currency: str
    customer: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """A card or account that a company stored with its provider: never its number."""

    reference: str
    kind: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    is_default: bool


@dataclass(frozen=True, slots=True)
class HandOver:
    """Where the company goes on, at the provider's."""

    url: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the provider tells by webhook: the type and id of the event, and the object it is about."""

    id: str
    type: str
    object_id: str
    former_customer: str | None


class ProviderUnavailable(Unavailable):
    """Whether the provider did what it was asked is not known; it is asked again with the same key."""

    code = "payment_provider_unavailable"
    title = "The payment provider does not answer; try again later"


class ProviderRefused(Conflict):
    code = "payment_provider_refused"
    title = "The payment provider refuses this"


class PaidByHand(Conflict):
    code = "paid_by_hand"
    title = "There is no payment provider here: pay to the account that the invoice names"


class WebhookNotGenuine(BadRequest):
    code = "webhook_not_genuine"
    title = "The signature does not fit, or was made too long ago"


class PaymentProvider(Protocol):
    """Raises, everywhere: ProviderUnavailable; ProviderRefused; PaidByHand for what a provider cannot do."""

    name: str
    automatic: bool  # whether it can charge without the company's being there

    async def customer(self, facts: CustomerFacts) -> str:
        """Make a company known, once; its reference."""

    async def forget(self, customer: str) -> None:
        """Delete a company with all that it stored; one that is gone stays gone. Payments that were made stay."""

    async def charge(self, charge: Charge) -> Outcome:
        """Take money, once per key, however often and from wherever it is asked."""

    async def find_charge(self, charge: Charge, since: datetime) -> Outcome | None:
        """What an attempt that began at `since` came to, for when its answer was lost; None: it never arrived."""

    async def payment(self, reference: str) -> Paid:
        """A payment as it is at this moment."""

    async def send_invoice(self, request: InvoiceRequest) -> str:
        """Let the provider send a bill, once; its reference."""

    async def invoice(self, reference: str) -> Paid:
        """An invoice that was sent, as it is at this moment."""

    async def withdraw_invoice(self, reference: str) -> None:
        """Take back an invoice that was sent, if it is still open."""

    async def methods(self, customer: str) -> Sequence[MethodFacts]:
        """What a company stored, as it is at this moment."""

    async def attach(self, customer: str, method: str) -> None:
        """Store a method that the company's browser made."""

    async def prefer(self, customer: str, method: str) -> None:
        """Charge this one from now on."""

    async def detach(self, method: str) -> None:
        """Forget a method; one that is gone stays gone."""

    async def set_up(self, customer: str, currency: str, return_url: str) -> HandOver:
        """Where the company stores a method."""

    async def check_out(self, charge: Charge, return_url: str) -> HandOver:
        """Where the company pays a bill itself, with whatever it likes; `charge.method` is not looked at."""

    async def portal(self, customer: str, return_url: str) -> HandOver:
        """Where the company manages what it stored."""

    async def refund(self, reference: str, amount: int, currency: str, key: str) -> str:
        """Give back of a payment or of a sent invoice that was paid, once per key."""

    def read_notice(self, body: bytes, signature: str | None) -> Notice:
        """What a webhook says. Raises: WebhookNotGenuine."""

    async def customer_of(self, notice: Notice) -> tuple[str, UUID] | None:
        """The company that an event about stored methods belongs to: its reference and id. None: not ours."""

    async def close(self) -> None:
        """Let connections go."""
