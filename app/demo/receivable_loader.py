"""Invoices of the demo company's latest orders, and what customers paid of them: in full, in part, late, or nothing.

Each step looks first at what is there, so that a load that was interrupted goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from app.demo.client import Api
from app.demo.orders import DemoInvoice

Ids = Mapping[str, str]
_PARALLEL: Final = 4
_SETTLED: Final = frozenset({"partly_paid", "paid"})


class ReceivableLoader:
    """One load of invoices and payments; `orders` and `accounts` are ids by external id."""

    def __init__(self, api: Api, *, orders: Ids, accounts: Ids) -> None:
        self._api = api
        self._orders = orders
        self._accounts = accounts

    async def load(self, invoices: tuple[DemoInvoice, ...]) -> None:
        """Issue what is missing, one after the other as days run on with numbers; pay it as far as it was paid."""
        issued = [
            (wanted, await self._issued(wanted))
            for wanted in sorted(invoices, key=lambda one: (one.issued_on, one.order))
        ]
        gate = asyncio.Semaphore(_PARALLEL)

        async def pay(wanted: DemoInvoice, invoice: Mapping[str, Any]) -> None:
            async with gate:
                await self._pay(wanted, invoice)

        async with asyncio.TaskGroup() as group:
            for wanted, invoice in issued:
                if wanted.paid and invoice["status"] not in _SETTLED:
                    group.create_task(pay(wanted, invoice))

    async def _issued(self, wanted: DemoInvoice) -> Any:
        order_id = self._orders[wanted.order]
        found = (await self._api.get("/v1/invoices", order_id=order_id))["data"]
        if found:
            invoice = found[0]
        else:
            invoice = await self._api.post("/v1/invoices/from-order", {"order_id": order_id})
        if invoice["status"] != "draft":
            return invoice
        body = {"issued_on": wanted.issued_on.isoformat()}
        return await self._step(f"/v1/invoices/{invoice['id']}/issue", invoice, body)

    async def _pay(self, wanted: DemoInvoice, invoice: Mapping[str, Any]) -> None:
        """The payment says whose it is by the order's key, which finds it again."""
        account_id = self._accounts[wanted.account]
        found = (await self._api.get("/v1/payments", account_id=account_id, reference=wanted.order))["data"]
        total = invoice["total"]
        part = (Decimal(total["amount"]) * wanted.paid).quantize(Decimal("0.01"), ROUND_HALF_UP)
        amount = {"amount": str(part), "currency": total["currency"]}
        payment = (
            found[0]
            if found
            else await self._api.post(
                "/v1/payments",
                {
                    "account_id": account_id,
                    "amount": amount,
                    "method": "bank_transfer",
                    "reference": wanted.order,
                    "received_on": wanted.paid_on.isoformat(),
                },
            )
        )
        share = {"allocations": [{"invoice_id": invoice["id"], "amount": amount}]}
        await self._step(f"/v1/payments/{payment['id']}/allocate", payment, share)

    async def _step(self, path: str, record: Mapping[str, Any], body: Any) -> Any:
        return await self._api.post(path, body, **{"If-Match": f'"{record["version"]}"'})
