"""A person in every module: each text that the API takes about them carries one word, which is their name as well."""

from __future__ import annotations

from typing import Any

from tests.contracts.samples import Sampler
from tests.contracts.world import World
from tests.modules.leads.forms import make_form
from tests.modules.leads.forms import send as submit
from tests.support.api import Client

WORD = "Qzwordqz"
Json = dict[str, Any]


class Wordy(Sampler):
    """Fills in what may be left out, too, wherever it is a text."""

    def value(self, schema: Json, name: str, resource: str) -> Any:
        found = self.resolve(schema)
        made = super().value(schema, name, resource)
        if not isinstance(made, dict) or "properties" not in found:
            return made
        for key, inner in found["properties"].items():
            if key not in made and (value := self._wordy(self.resolve(inner), key, resource)) is not None:
                made[key] = value
        return made

    def _wordy(self, schema: Json, name: str, resource: str) -> Any:
        kind = schema.get("type")
        if kind == "string" and not {"enum", "const", "pattern"} & schema.keys():
            form = schema.get("format")
            return self._text(schema, name, resource) if form in (None, "email", "uri") else None
        if kind == "array" and self.resolve(schema.get("items", {})).get("type") == "string":
            item = self.resolve(schema["items"])
            free = not {"enum", "const", "pattern", "format"} & item.keys()
            return [self._text(item, name, resource)] if free else None
        if kind == "object" and schema.get("properties"):
            texts = {
                key: value
                for key, inner in schema["properties"].items()
                if (value := self._wordy(self.resolve(inner), key, resource)) is not None
            }
            return texts or None
        return None


class Planting:
    """One person, in a company that knows nobody else."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.sampler = Wordy(world.company.app.openapi(), world.ids, WORD)
        self.owner: Client = world.owner
        world.ids["members"] = str(world.company.member_id)

    async def send(self, operation_id: str, **more: Any) -> Any:
        """What an operation takes about the person; texts that it refuses are left out."""
        operation = self.world.by_id[operation_id]
        request = self.world.request(operation)
        body = {**(request.body or {}), **more}
        answer = await self._sent(operation.method, request.path, body, operation.takes_version)
        for _ in range(3):
            if answer.status_code != 422:
                break
            for error in answer.json().get("errors", ()):
                _without(body, error["pointer"].strip("/").split("/"), keep=set(more))
            answer = await self._sent(operation.method, request.path, body, operation.takes_version)
        assert answer.is_success, f"{operation_id}: {answer.status_code} {answer.text} {body}"
        return answer.json() if answer.content else None

    async def _sent(self, method: str, path: str, body: Json, versioned: bool) -> Any:
        headers = {}
        if versioned:
            shown = await self.owner.get("/".join(path.split("/")[:4]))
            headers["If-Match"] = f'"{shown.json().get("version", 0) if shown.is_success else 0}"'
        return await self.owner.request(method, path, json=body, headers=headers)

    async def make(self, resource: str, operation_id: str, **more: Any) -> str:
        made = await self.send(operation_id, **more)
        self.world.ids[resource] = str(made["id"])
        return str(made["id"])

    async def file(self, content: bytes = WORD.encode()) -> str:
        answer = await self.owner.post(
            f"/v1/files?filename={WORD}.txt",
            content=content,
            headers={"Content-Type": "application/octet-stream"},
        )
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    # -- the person ----------------------------------------------------------------------------------------

    async def person(self) -> None:
        """A consumer's account, a contact and a lead, with consents, a field of the company's own, and a merge."""
        for object_name in ("contact", "account", "lead"):
            field = {"object": object_name, "key": "hobby", "type": "text", "labels": {"en": "Hobby"}}
            await self.owner.ok("POST", "/v1/custom-fields", json=field | {"indexed": True})
        custom = {"hobby": f"{WORD} hobby"}
        plain = await self.owner.ok("POST", "/v1/accounts", json={"name": "Plain Ltd", "kind": "company"})
        self.world.ids["companies"] = plain["id"]
        await self.make("accounts", "create_account", kind="person", name=WORD, custom=custom)
        await self.make(
            "contacts", "create_contact", family_name=WORD, name=WORD, account_id=self.ids("companies")
        )
        await self.make("leads", "create_lead", name=WORD, custom=custom)
        for operation_id in ("record_account_consent", "record_contact_consent"):
            await self.send(operation_id, channel="email", status="denied", note=WORD)
        await self.send("touch_lead")
        await self.send("record_lead_behaviour", kind="visit")

    def ids(self, resource: str) -> str:
        """Of the thing of this kind made last."""
        return self.world.ids[resource]

    async def address(self, resource: str) -> str:
        """The e-mail address of one of their records."""
        found: str = (await self.owner.ok("GET", f"/v1/{resource}/{self.ids(resource)}"))["email"]
        return found

    def both(self) -> Json:
        return {"account_id": self.ids("companies"), "contact_id": self.ids("contacts")}

    # -- what others hold ----------------------------------------------------------------------------------

    async def activities(self) -> None:
        """Notes, a call, a task and a meeting with them, and a file."""
        about = [
            {"object": name, "record_id": self.ids(resource)}
            for name, resource in (("contact", "contacts"), ("lead", "leads"), ("account", "accounts"))
        ]
        for kind in ("note", "call", "task", "visit"):
            await self.make("activities", "create_activity", kind=kind, subject=WORD, about=about)
        await self.send("attach_file_to_activity", file_id=await self.file())
        when = {"starts_at": "2031-03-03T09:00:00Z", "ends_at": "2031-03-03T10:00:00Z"}
        meeting = await self.make(
            "activities", "create_activity", kind="meeting", subject="Plain", about=[], **when
        )
        attendees = [
            {"object": "contact", "record_id": self.ids("contacts")},
            {"email": await self.address("leads"), "name": WORD},
        ]
        assert meeting
        await self.send("set_activity_attendees", attendees=attendees)
        view = {"object": "contact", "name": WORD, "filter": {"email": {"eq": f"{WORD}@view.example"}}}
        await self.owner.post("/v1/saved-views", view)

    async def selling(self) -> None:
        """Deals, offers, contracts, orders, invoices, payments and returns: theirs, and those of their company."""
        for parties in ({"account_id": self.ids("accounts")}, self.both()):
            await self._deal(parties)
            await self._contract(parties)
            await self._order(parties)
            await self._quote(parties)

    async def _deal(self, parties: Json) -> None:
        await self.make("opportunities", "create_opportunity", **parties)
        await self.send("add_opportunity_contact", contact_id=self.ids("contacts"), role="user")
        await self.send("add_opportunity_cost", amount={"amount": "1.00", "currency": "USD"})
        await self.make(
            "presales-requests", "create_presales_request", opportunity_id=self.ids("opportunities")
        )

    async def _contract(self, parties: Json) -> None:
        await self.make("contracts", "create_contract", **parties)
        party = {"role": "signatory", "name": WORD, "title": WORD, "contact_id": self.ids("contacts")}
        await self.send("set_contract_parties", parties=[party])
        await self.send("set_contract_clauses", clauses=[{"title": WORD, "body": WORD}])

    async def _order(self, parties: Json) -> None:
        line = {"description": WORD, "quantity": "1", "unit_price": {"amount": "10.00", "currency": "USD"}}
        account = {"account_id": parties["account_id"]}
        await self.make("orders", "create_order", lines=[line], currency="USD", **parties)
        await self.send("confirm_order")
        order = await self.owner.ok("GET", f"/v1/orders/{self.ids('orders')}")
        sent = [{"line_id": order["lines"][0]["id"], "quantity": "1"}]
        await self.send("ship_order", lines=sent)
        invoice = await self.make("invoices", "create_invoice_from_order", order_id=self.ids("orders"))
        await self.send("issue_invoice")
        assert (await self.owner.get(f"/v1/invoices/{invoice}/pdf")).is_success
        await self.send("send_invoice", to=f"{WORD}@mail.example")
        amount = {"amount": "10.00", "currency": "USD"}
        if "contact_id" not in parties:
            await self.make("payments", "create_payment", method="cash", amount=amount, **account)
        back = [{"order_line_id": order["lines"][0]["id"], "quantity": "1"}]
        await self.make("returns", "create_return", order_id=self.ids("orders"), lines=back, **account)

    async def _quote(self, parties: Json) -> None:
        line = {"description": WORD, "quantity": "1", "unit_price": {"amount": "10.00", "currency": "USD"}}
        await self.make(
            "quotes", "create_quote", lines=[line], currency="USD", name=WORD, terms=WORD, **parties
        )
        await self.send("send_quote", by_mail=False)
        assert (await self.owner.get(f"/v1/quotes/{self.ids('quotes')}/pdf")).is_success
        await self.send("accept_quote", name=WORD)

    async def serving(self) -> None:
        """Cases, mails, calls, visits, surveys and what they own."""
        await self.make("assets", "create_asset", name=WORD, **self.both())
        await self.make(
            "cases", "create_case", subject=WORD, email=await self.address("contacts"), **self.both()
        )
        await self.send("comment_on_case", public=True)
        await self.send("comment_on_case", author="customer", contact_id=self.ids("contacts"), public=True)
        await self.send("attach_file_to_case", file_id=await self.file())
        await self.make("work-orders", "create_work_order", subject=WORD, **self.both())
        await self.send("add_work_order_time", minutes=5)
        await self.make("calls", "start_call", direction="inbound", number="+12125550188")
        address = await self.address("contacts")
        mail = (
            f"From: {WORD} <{address}>\r\nTo: help@plain.example\r\nMessage-ID: <{WORD}.1@case.example>\r\n"
            f"Subject: {WORD} asks\r\n\r\nI am {WORD}.\r\n"
        )
        answer = await self.owner.post(
            "/v1/cases/from-email", content=mail.encode(), headers={"Content-Type": "message/rfc822"}
        )
        assert answer.is_success, answer.text

    async def loyalty(self) -> None:
        """A card, points and a wallet, with words in their books."""
        self.world.sampler.marker = "plain"
        await self.world.make("loyalty-programmes")
        self.world.sampler.marker = WORD
        await self.make(
            "loyalty-members",
            "create_loyalty_member",
            programme_id=self.ids("loyalty-programmes"),
            account_id=self.ids("accounts"),
        )
        await self.send("adjust_loyalty_points", points=500, reason=WORD)
        await self.send("top_up_wallet", amount={"amount": "10.00", "currency": "USD"})
        await self.send("freeze_wallet", currency="USD", reason=WORD)

    async def capturing(self) -> None:
        """A form, a mail to the company, and a list with the person in it."""
        lead = f"From: {WORD} <{WORD}.by@mail.example>\r\nMessage-ID: <{WORD}.2@x.example>\r\nSubject: {WORD}\r\n\r\n{WORD}\r\n"
        answer = await self.owner.post(
            "/v1/leads/from-email", content=lead.encode(), headers={"Content-Type": "message/rfc822"}
        )
        assert answer.is_success, answer.text
        self.world.ids["mailed"] = str(answer.json()["lead_id"])
        form = await make_form(self.owner, name={"en": "Plain"})
        sent = await submit(
            self.world.company, form, name=WORD, email=f"{WORD}.by@mail.example", description=WORD
        )
        assert sent.is_success, sent.text
        await self._import()
        await self.owner.ok("POST", "/v1/exports", json={"object": "contact"})

    async def _import(self) -> None:
        """A list that brings the person's lead up to date, beside somebody else."""
        lead = await self.owner.ok("GET", f"/v1/leads/{self.ids('leads')}")
        rows = f"external_id,name,email,company\n{lead['external_id']},{WORD},{lead['email']},{WORD} Works\nx-1,Other,other@other.example,Other Works\n"
        answer = await self.owner.post(
            "/v1/imports",
            data={"object": "leads", "mode": "upsert"},
            files={"file": (f"{WORD}.csv", rows.encode(), "text/csv")},
        )
        assert answer.status_code == 202, answer.text
        self.world.ids["imports"] = answer.json()["id"]


def _without(body: Any, place: list[str], *, keep: set[str]) -> None:
    """Leave out what a pointer names, of what nobody asked for."""
    if not place or place[0] in keep:
        return
    for step in place[:-1]:
        inner = body.get(step) if isinstance(body, dict) else None
        if not isinstance(inner, dict):
            body.pop(step, None) if isinstance(body, dict) else None
            return
        body = inner
    if isinstance(body, dict):
        body.pop(place[-1], None)
