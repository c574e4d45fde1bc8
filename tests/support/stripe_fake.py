"""Those of Stripe's endpoints that we use, speaking its protocol on loopback: forms in, objects and errors out.

https://docs.stripe.com/api: requests are form-encoded with keys in brackets, answers JSON; a key of idempotency answers
as the first time and refuses other parameters; errors are objects with a type, a code and what they are about.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
import uvicorn

KEY = "sk_test_rapport"
SECRET = "whsec_rapport"
Json = dict[str, Any]
DECLINES = {
    "pm_poor": ("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "pm_expired": ("expired_card", "", "Your card has expired."),
    "pm_asks": ("authentication_required", "authentication_required", "Your bank wants you to confirm."),
}


class Refusal(Exception):
    """An error of Stripe's."""

    def __init__(self, status: int, kind: str, message: str, code: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "message": message, "code": code} | more}


class Dropped(Exception):
    """The connection breaks after the request took effect."""


@dataclass
class StripeFake:
    """What Stripe has, and how it behaves: `lose` so many answers, `hold` charges, be `down`."""

    url: str = ""
    objects: dict[str, Json] = field(default_factory=dict)
    answered: dict[str, tuple[str, int, bytes]] = field(default_factory=dict)
    requests: list[tuple[str, str, Json, str | None]] = field(default_factory=list)
    lose: int = 0
    down: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)
    charged: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.held.set()

    # -- for tests ---------------------------------------------------------------------------------------------

    def all(self, kind: str) -> list[Json]:
        return [one for one in self.objects.values() if one["object"] == kind]

    @property
    def taken(self) -> list[int]:
        """The amounts of all charges that succeeded."""
        return [one["amount"] for one in self.all("payment_intent") if one["status"] == "succeeded"]

    def method(self, reference: str) -> str:
        """A method that a browser made; what its name begins with says how it behaves."""
        kind = {"card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2031}}
        self._keep("payment_method", {"type": "card", "customer": None} | kind, reference)
        return reference

    def settle(self, intent: str, status: str = "succeeded", **error: Any) -> None:
        """The bank answers later."""
        found = self.objects[intent]
        found.update(status=status, amount_received=found["amount"] if status == "succeeded" else 0)
        found["last_payment_error"] = error or None

    def event(self, kind: str, object_id: str, *, id: str | None = None, **before: Any) -> bytes:
        """The body of a webhook."""
        event: Json = {
            "id": id or f"evt_{next(self._numbers)}_{time.time_ns()}",
            "object": "event",
            "type": kind,
            "created": int(time.time()),
            "data": {"object": self.objects.get(object_id, {"id": object_id, "object": "x"})},
        }
        if before:
            event["data"]["previous_attributes"] = before
        return orjson.dumps(event)

    # -- the protocol ------------------------------------------------------------------------------------------

    async def __call__(self, scope: Json, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        try:
            status, answer = await self._answer(scope["method"], scope["path"], query, body, headers)
        except Dropped:
            return  # uvicorn breaks the connection of an application that says nothing
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/json"), (b"request-id", b"req_1")],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    async def _answer(
        self, method: str, path: str, query: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        form = nested(parse_qsl(body.decode() or query, keep_blank_values=True))
        key = headers.get("idempotency-key")
        self.requests.append((method, path, form, key))
        if headers.get("authorization") != f"Bearer {KEY}":
            return 401, orjson.dumps(Refusal(401, "invalid_request_error", "Invalid API Key").body)
        if self.down:
            self.down -= 1
            return 500, orjson.dumps(Refusal(500, "api_error", "Try again").body)
        what = f"{method} {path}?{body.decode()}"
        if key is not None and key in self.answered:
            before, status, answer = self.answered[key]
            if before != what:
                return 400, orjson.dumps(Refusal(400, "idempotency_error", "Other parameters").body)
            await self._on_the_way(method, path)
            return status, answer
        try:
            status, found = 200, self._do(method, path, form)
        except Refusal as refusal:
            status, found = refusal.status, refusal.body
        answer = orjson.dumps(found)
        if key is not None and method == "POST":
            self.answered[key] = (what, status, answer)
        await self._on_the_way(method, path)
        return status, answer

    async def _on_the_way(self, method: str, path: str) -> None:
        """What may happen to the answer to a charge."""
        if path == "/v1/payment_intents" and method == "POST":
            self.charged.set()
            await self.held.wait()
            if self.lose:
                self.lose -= 1
                raise Dropped

    def _do(self, method: str, path: str, form: Json) -> Json:
        for (verb, pattern), handle in ROUTES.items():
            found = re.fullmatch(pattern, path)
            if verb == method and found:
                return handle(self, form, *found.groups())
        raise Refusal(404, "invalid_request_error", f"Unrecognized request URL ({method}: {path}).")

    def _keep(self, kind: str, values: Json, id: str | None = None) -> Json:
        prefix = {"customer": "cus", "payment_intent": "pi", "invoice": "in", "refund": "re"}.get(kind, "x")
        id = id or f"{prefix}_{next(self._numbers)}"
        self.objects[id] = {"id": id, "object": kind, "created": int(time.time()), "metadata": {}} | values
        return self.objects[id]

    def find(self, id: str, kind: str) -> Json:
        found = self.objects.get(id)
        if found is None or found["object"] != kind:
            raise Refusal(404, "invalid_request_error", f"No such {kind}: '{id}'", "resource_missing")
        return found

    def intent(self, form: Json) -> Json:
        method = self.find(form["payment_method"], "payment_method")
        if method["customer"] != form["customer"]:
            raise Refusal(400, "invalid_request_error", "The method does not belong to the customer.")
        base = {"amount": int(form["amount"]), "currency": form["currency"], "customer": form["customer"]}
        base |= {"metadata": form.get("metadata", {}), "last_payment_error": None, "amount_received": 0}
        decline = next((DECLINES[name] for name in DECLINES if method["id"].startswith(name)), None)
        if decline is not None:
            code, reason, text = decline
            error = {"type": "card_error", "code": code, "decline_code": reason or None, "message": text}
            made = self._keep(
                "payment_intent", base | {"status": "requires_payment_method", "last_payment_error": error}
            )
            raise Refusal(402, "card_error", text, code, decline_code=reason or None, payment_intent=made)
        if method["id"].startswith("pm_slow"):
            return self._keep("payment_intent", base | {"status": "processing"})
        return self._keep("payment_intent", base | {"status": "succeeded", "amount_received": base["amount"]})

    def invoice(self, form: Json) -> Json:
        values = {"status": "draft", "amount_due": 0, "amount_paid": 0, "currency": form["currency"]}
        values |= {name: form[name] for name in ("customer", "collection_method", "due_date", "metadata")}
        return self._keep("invoice", values)

    def pay_invoice(self, id: str) -> None:
        """The company pays what it was sent."""
        found = self.objects[id]
        intent = self._keep("payment_intent", {"status": "succeeded", "amount": found["amount_due"]})
        found.update(status="paid", amount_paid=found["amount_due"], paid_by=intent["id"])


def _customer_updated(fake: StripeFake, form: Json, id: str) -> Json:
    return _changed(fake.find(id, "customer"), form)


def _forgotten(fake: StripeFake, form: Json, id: str) -> Json:
    """Deletes a customer with what they stored; payments stay, as at Stripe."""
    fake.find(id, "customer")
    for stored in [one for one in fake.all("payment_method") if one.get("customer") == id]:
        stored["customer"] = None
    del fake.objects[id]
    return {"id": id, "object": "customer", "deleted": True}


def _changed(found: Json, form: Json) -> Json:
    for name, value in form.items():
        found[name] = {**found.get(name, {}), **value} if isinstance(value, dict) else value
    return found


def _attach(fake: StripeFake, form: Json, id: str) -> Json:
    found = fake.find(id, "payment_method")
    found["customer"] = fake.find(form["customer"], "customer")["id"]
    return found


def _detach(fake: StripeFake, form: Json, id: str) -> Json:
    found = fake.find(id, "payment_method")
    if found["customer"] is None:
        raise Refusal(400, "invalid_request_error", "It is not attached.", "payment_method_unexpected_state")
    found["customer"] = None
    return found


def _listed(fake: StripeFake, kind: str, fits: Callable[[Json], bool]) -> Json:
    data = [one for one in reversed(fake.all(kind)) if fits(one)]
    return {"object": "list", "data": data, "has_more": False, "url": "/v1/x"}


def _of_customer(kind: str) -> Callable[[StripeFake, Json], Json]:
    return lambda fake, form: _listed(fake, kind, lambda one: one.get("customer") == form["customer"])


def _session(fake: StripeFake, form: Json) -> Json:
    fake.find(form["customer"], "customer")
    made = fake._keep("checkout.session", dict(form) | {"expires_at": int(time.time()) + 86_400})
    made["url"] = f"https://checkout.example.com/{made['id']}"
    return made


def _portal(fake: StripeFake, form: Json) -> Json:
    fake.find(form["customer"], "customer")
    made = fake._keep("billing_portal.session", dict(form))
    made["url"] = f"https://portal.example.com/{made['id']}"
    return made


def _item(fake: StripeFake, form: Json) -> Json:
    invoice = fake.find(form["invoice"], "invoice")
    invoice["amount_due"] += int(form["amount"])
    return fake._keep("invoiceitem", dict(form))


def _becomes(status: str) -> Callable[[StripeFake, Json, str], Json]:
    return lambda fake, form, id: _changed(fake.find(id, "invoice"), {"status": status})


def _sent(fake: StripeFake, form: Json, id: str) -> Json:
    return _changed(fake.find(id, "invoice"), {"sent": True})


def _refund(fake: StripeFake, form: Json) -> Json:
    intent = fake.find(form["payment_intent"], "payment_intent")
    before = sum(one["amount"] for one in fake.all("refund") if one["payment_intent"] == intent["id"])
    if before + int(form["amount"]) > intent["amount"]:
        raise Refusal(400, "invalid_request_error", "More than was charged.", "charge_already_refunded")
    return fake._keep(
        "refund", {"payment_intent": intent["id"], "amount": int(form["amount"]), "status": "succeeded"}
    )


def _payments_of(fake: StripeFake, form: Json) -> Json:
    paid_by = fake.find(form["invoice"], "invoice").get("paid_by")
    data = [
        {
            "id": "inpay_1",
            "object": "invoice_payment",
            "payment": {"type": "payment_intent", "payment_intent": paid_by},
        }
    ]
    return {
        "object": "list",
        "data": data if paid_by else [],
        "has_more": False,
        "url": "/v1/invoice_payments",
    }


ROUTES: dict[tuple[str, str], Callable[..., Json]] = {
    ("POST", r"/v1/customers"): lambda fake, form: fake._keep("customer", dict(form)),
    ("GET", r"/v1/customers/(\w+)"): lambda fake, form, id: fake.find(id, "customer"),
    ("POST", r"/v1/customers/(\w+)"): _customer_updated,
    ("DELETE", r"/v1/customers/(\w+)"): _forgotten,
    ("POST", r"/v1/payment_intents"): lambda fake, form: fake.intent(form),
    ("GET", r"/v1/payment_intents"): _of_customer("payment_intent"),
    ("GET", r"/v1/payment_intents/(\w+)"): lambda fake, form, id: fake.find(id, "payment_intent"),
    ("POST", r"/v1/payment_methods/(\w+)/attach"): _attach,
    ("POST", r"/v1/payment_methods/(\w+)/detach"): _detach,
    ("GET", r"/v1/payment_methods"): _of_customer("payment_method"),
    ("POST", r"/v1/checkout/sessions"): _session,
    ("POST", r"/v1/billing_portal/sessions"): _portal,
    ("POST", r"/v1/invoices"): lambda fake, form: fake.invoice(form),
    ("POST", r"/v1/invoiceitems"): _item,
    ("GET", r"/v1/invoices/(\w+)"): lambda fake, form, id: fake.find(id, "invoice"),
    ("POST", r"/v1/invoices/(\w+)/finalize"): _becomes("open"),
    ("POST", r"/v1/invoices/(\w+)/send"): _sent,
    ("POST", r"/v1/invoices/(\w+)/void"): _becomes("void"),
    ("GET", r"/v1/invoice_payments"): _payments_of,
    ("POST", r"/v1/refunds"): _refund,
}


def nested(pairs: list[tuple[str, str]]) -> Json:
    """`metadata[tenant_id]=…` as dictionaries of dictionaries."""
    found: Json = {}
    for name, value in pairs:
        first, *rest = re.findall(r"[^\[\]]+", name)
        at = found
        for part in (first, *rest)[:-1]:
            at = at.setdefault(part, {})
        at[(first, *rest)[-1]] = value
    return found


def signature(body: bytes, secret: str = SECRET, at: float | None = None) -> str:
    """The header `Stripe-Signature` of a webhook."""
    moment = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={mac}"


@asynccontextmanager
async def stripe_fake() -> AsyncIterator[StripeFake]:
    """Stripe on a free port of loopback."""
    fake = StripeFake()
    config = uvicorn.Config(fake, host="127.0.0.1", port=0, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    try:
        while not server.started:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        fake.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield fake
    finally:
        fake.held.set()
        server.should_exit = True
        await task
