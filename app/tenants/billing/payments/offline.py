# ruff: noqa: ARG002 - what is refused is not looked at
"""No provider: the bill says where to pay to, and whoever runs the product marks it paid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.kernel.errors import NotFound
from app.tenants.billing.payments.provider import (
    Charge,
    CustomerFacts,
    HandOver,
    InvoiceRequest,
    MethodFacts,
    Notice,
    Outcome,
    Paid,
    PaidByHand,
)


class OfflineProvider:
    """Implements `PaymentProvider`: it takes no money and refuses what would."""

    name = "offline"
    automatic = False

    async def customer(self, facts: CustomerFacts) -> str:
        return str(facts.tenant_id)

    async def forget(self, customer: str) -> None:
        """Nobody was told of it."""

    async def charge(self, charge: Charge) -> Outcome:
        raise PaidByHand

    async def find_charge(self, charge: Charge, since: datetime) -> Outcome | None:
        raise PaidByHand

    async def payment(self, reference: str) -> Paid:
        raise PaidByHand

    async def send_invoice(self, request: InvoiceRequest) -> str:
        raise PaidByHand

    async def invoice(self, reference: str) -> Paid:
        raise PaidByHand

    async def withdraw_invoice(self, reference: str) -> None:
        """Nothing was sent."""

    async def methods(self, customer: str) -> Sequence[MethodFacts]:
        return ()

    async def attach(self, customer: str, method: str) -> None:
        raise PaidByHand

    async def prefer(self, customer: str, method: str) -> None:
        raise PaidByHand

    async def detach(self, method: str) -> None:
        """There is none."""

    async def set_up(self, customer: str, currency: str, return_url: str) -> HandOver:
        raise PaidByHand

    async def check_out(self, charge: Charge, return_url: str) -> HandOver:
        raise PaidByHand

    async def portal(self, customer: str, return_url: str) -> HandOver:
        raise PaidByHand

    async def refund(self, reference: str, amount: int, currency: str, key: str) -> str:
        raise PaidByHand

    def read_notice(self, body: bytes, signature: str | None) -> Notice:
        raise NotFound

    async def customer_of(self, notice: Notice) -> tuple[str, UUID] | None:
        return None

    async def close(self) -> None:
        """There is nothing open."""
