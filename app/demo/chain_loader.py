"""Whole chains: what began as a lead is offered, accepted, delivered, invoiced and paid, each as far as it has come.

Each step looks first at what is there, so that a load that was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from app.demo.client import Api
from app.demo.orders import DemoCurrentOrder
from app.demo.records import DemoCompany, DemoOpportunity

Ids = Mapping[str, str]
Json = dict[str, Any]
PROGRESS: Final = ("sent", "accepted", "shipped", "invoiced", "paid")
CHAINS: Final = 10
_SETTLED: Final = frozenset({"partly_paid", "paid"})


def still_open(company: DemoCompany, count: int = CHAINS) -> list[DemoOpportunity]:
    """Opportunities in the company's currency that came of leads and are open, by key."""
    of_leads = {lead.became.opportunity for lead in company.leads if lead.became}
    found = [
        one
        for one in company.opportunities
        if one.external_id in of_leads and one.status == "open" and one.amount.currency == company.currency
    ]
    return sorted(found, key=lambda one: one.external_id)[:count]


class ChainLoader:
    """One load of chains; `opportunities` and `products` are ids by external id."""

    def __init__(
        self, api: Api, *, opportunities: Ids, products: Ids, show: Callable[[int, int], None]
    ) -> None:
        self._api = api
        self._opportunities = opportunities
        self._products = products
        self._show = show

    async def load(self, chains: Sequence[DemoOpportunity], carts: Sequence[DemoCurrentOrder]) -> None:
        """Take each chain as far as its turn says, with the goods of the cart of its turn."""
        for number, one in enumerate(chains):
            await self._chain(one, carts[number % len(carts)], PROGRESS[: number % len(PROGRESS) + 1])
            self._show(number + 1, len(chains))

    async def _chain(self, one: DemoOpportunity, cart: DemoCurrentOrder, steps: Sequence[str]) -> None:
        quote = await self._offered(one, cart)
        if "accepted" not in steps:
            return
        if quote["status"] == "sent":
            answer = {"name": "李华", "job_title": "采购经理"}
            await self._step(f"/v1/quotes/{quote['id']}/accept", quote, answer)
        order = (await self._api.get("/v1/orders", quote_id=quote["id"]))["data"][0]
        if "shipped" in steps and order["status"] == "confirmed":
            await self._api.post(f"/v1/orders/{order['id']}/shipments", {})
        if "invoiced" in steps:
            invoice = await self._invoiced(order["id"])
            if "paid" in steps and invoice["status"] not in _SETTLED:
                await self._paid(invoice)

    async def _offered(self, one: DemoOpportunity, cart: DemoCurrentOrder) -> Json:
        key = f"demo-chain-{one.external_id}"
        found = (await self._api.get("/v1/quotes", external_id=key))["data"]
        lines = [
            {"product_id": self._products[name], "quantity": str(quantity)} for name, quantity in cart.goods
        ]
        body = {
            "external_id": key,
            "name": one.name,
            "opportunity_id": self._opportunities[one.external_id],
            "lines": lines,
        }
        quote = found[0] if found else await self._api.post("/v1/quotes", body)
        if quote["status"] == "draft":
            await self._step(f"/v1/quotes/{quote['id']}/send", quote, {"by_mail": False})
        return dict(await self._api.get(f"/v1/quotes/{quote['id']}"))

    async def _invoiced(self, order_id: str) -> Any:
        found = (await self._api.get("/v1/invoices", order_id=order_id))["data"]
        invoice = (
            found[0] if found else await self._api.post("/v1/invoices/from-order", {"order_id": order_id})
        )
        if invoice["status"] != "draft":
            return invoice
        return await self._step(f"/v1/invoices/{invoice['id']}/issue", invoice, {})

    async def _paid(self, invoice: Mapping[str, Any]) -> None:
        """By a payment that bears the invoice's number, which finds it again."""
        account_id, reference = invoice["account_id"], invoice["number"]
        found = (await self._api.get("/v1/payments", account_id=account_id, reference=reference))["data"]
        body = {
            "account_id": account_id,
            "amount": invoice["total"],
            "method": "bank_transfer",
            "reference": reference,
        }
        payment = found[0] if found else await self._api.post("/v1/payments", body)
        share = {"allocations": [{"invoice_id": invoice["id"], "amount": invoice["total"]}]}
        await self._step(f"/v1/payments/{payment['id']}/allocate", payment, share)

    async def _step(self, path: str, record: Mapping[str, Any], body: Any) -> Any:
        return await self._api.post(path, body, **{"If-Match": f'"{record["version"]}"'})
