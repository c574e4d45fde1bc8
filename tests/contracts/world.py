"""A company with at least one of everything that the API can make, and requests about each of its operations."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import httpx

from app.kernel.events import declared_events
from app.main import Application
from tests.contracts.samples import Operation, Sampler, operations
from tests.kernel.test_pdf import picture
from tests.support.api import PASSWORD, Client, Company, sign_in
from tests.tenants.people import Look, colleague, stranger_from

Json = dict[str, Any]
FIRST_VERSIONS = {
    "set_duplicate_rule": 0,
    "set_loyalty_rewards": 0,
    "set_lead_conversion_mapping": 0,
    "set_lead_assignment": 0,
    "set_lead_assignee": 0,
    "set_lead_stages": 0,
    "update_calendar_settings": 0,
    "set_credit_settings": 0,
    "set_case_settings": 0,
    "set_agent": 0,
    "set_desk_settings": 0,
}
"""Settings that have no row before they are changed first."""


@dataclass(frozen=True)
class Request:
    """One request, ready to send."""

    operation: Operation
    path: str
    body: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, client: Client) -> httpx.Response:
        options: Json = {"headers": dict(self.headers)}
        if self.operation.takes_version:
            options["headers"].setdefault("If-Match", f'"{FIRST_VERSIONS.get(self.operation.id, 1)}"')
        if self.content is not None:
            options["content"] = self.content
        elif self.body is not None:
            options["json"] = self.body
        return await client.request(self.operation.method, self.path, **options)


class World:
    """One company, its people and things; `marker` stands in every text of it."""

    def __init__(self, company: Company, look: Look, marker: str) -> None:
        self.company = company
        self.look = look
        self._months = count()
        self.ids: dict[str, str] = {"tenants": str(company.tenant_id), "operator": str(company.tenant_id)}
        self.sampler = Sampler(company.app.openapi(), self.ids, marker)
        self.operations = operations(company.app)
        self.by_id = {operation.id: operation for operation in self.operations}

    @property
    def owner(self) -> Client:
        return self.company.owner

    # -- making things -------------------------------------------------------------------------------------

    async def build(self) -> None:
        """Make one of everything."""
        member = await colleague(self.company, self.look, "salesperson")
        self.ids["members"] = str(member.facts["member_id"])
        self.ids["lead-assignees"] = self.ids["agents"] = self.ids["members"]
        second = await sign_in(stranger_from(self.company.app), self.company.email)
        sessions = (await self.owner.ok("GET", "/v1/sessions"))["data"]
        self.ids["sessions"] = next(session["id"] for session in sessions if not session["current"])
        assert second.token
        for resource in self._order():
            await self.make(resource)
        for name in PARTS:
            await self.make_part(name)
        await self._merge()
        export = await self.request(self.by_id["create_export"]).send(self.owner)
        self.ids["jobs"] = export.json()["id"]
        await self._sent("submit_case_form")
        plan = await self.request(self.by_id["optimise_assignment"]).send(self.owner)
        self.ids["assignments"] = plan.json()["id"]
        self.ids["privacy"] = (await self._sent("create_privacy_request"))["id"]
        for operation_id in (
            "top_up_wallet",
            "report_usage",
            "create_calendar_feed",
            "record_lead_behaviour",
            "add_work_order_time",
        ):
            await self._sent(operation_id)  # what stands in tables of their own

    def _order(self) -> list[str]:
        """Resources with a collection and items, those that others refer to first."""
        makers = {operation.resource for operation in self.operations if self._makes(operation)}
        first = [
            name
            for name in (
                "teams",
                "roles",
                "queues",
                "accounts",
                "contacts",
                "orders",
                "pipelines",
                "competitors",
                "leads",
                "files",
                "orders",
                "products",
                "price-books",
                "loyalty-programmes",
            )
            if name in makers
        ]
        return [*first, *sorted(makers - set(first))]

    def _makes(self, operation: Operation) -> bool:
        path = f"/v1/{operation.resource}"
        return (
            operation.method == "POST"
            and operation.path == path
            and any(other.path == f"{path}/{{id}}" and other.method == "GET" for other in self.operations)
        )

    async def make(self, resource: str) -> str:
        """A new thing of this kind; later requests are about it."""
        if resource in ("price-book-entries", "warranty-terms"):
            await self.make("products")  # a product has one entry in a book, and one set of terms
        operation = next(o for o in self.operations if o.resource == resource and self._makes(o))
        if resource in ("approvals", "loyalty-members"):
            await self.make("accounts")  # one request at a time about each, and one member of a programme
        answer = await self.request(operation).send(self.owner)
        assert answer.is_success, f"{operation.id}: {answer.status_code} {answer.text}"
        made = answer.json()
        self.ids[resource] = made["id"]
        if "public_key" in made:
            self.ids[f"{resource}/public_key"] = made["public_key"]
        await self._share(resource)
        return str(made["id"])

    async def renew(self, operation: Operation) -> None:
        """A new thing for an operation that changes the one in its path, so that no request spoils another's."""
        if operation.path.endswith(("/merge", "/merge/preview")):
            await self.twins(operation.resource)
        if operation.resource in ("price-book-entries", "warranty-terms") and not operation.safe:
            await self.make("products")
        if not operation.safe and "id" in operation.names:
            if operation.id == "transfer_loyalty_points":
                self.ids["loyalty-members/twin"] = await self.make("loyalty-members")
            await self._renew_thing(operation)
            if operation.id in ("burn_loyalty_points", "transfer_loyalty_points"):
                await self._give_points()
            if operation.id in _FROM_WALLETS:
                await self._fill_wallet(operation.id)
        for name in PARTS.keys() & set(operation.names):
            await self.make_part(name)

    async def _renew_thing(self, operation: Operation) -> None:
        if operation.resource == "members":
            member = await colleague(self.company, self.look, "salesperson")
            self.ids["members"] = str(member.facts["member_id"])
        elif operation.resource == "privacy":
            self.ids["privacy"] = (await self._sent("create_privacy_request"))["id"]
        else:
            await self.replace(operation)

    async def make_part(self, name: str) -> None:
        """Something that hangs on the thing at hand."""
        if name == "burn_id":
            await self._give_points()
        if name == "referral_id":
            self.ids[name] = await self._bring_in()
            return
        maker = self.by_id[PARTS[name]]
        answer = await self.request(maker).send(self.owner)
        assert answer.is_success, f"{maker.id}: {answer.status_code} {answer.text}"
        self.ids[name] = str(answer.json()["id"])

    async def _fill_wallet(self, operation_id: str) -> None:
        """Money of the loyalty member at hand, and whatever comes before this."""
        await self._sent("top_up_wallet")
        if operation_id == "unfreeze_wallet":
            await self._sent("freeze_wallet")
        if operation_id in ("pay_from_wallet", "refund_to_wallet"):
            self.ids["orders"] = (await self._sent("place_order"))["id"]
        if operation_id == "refund_to_wallet":
            self.ids["transactions"] = (await self._sent("pay_from_wallet"))["id"]
            order = await self.owner.ok("GET", f"/v1/orders/{self.ids['orders']}")
            cancel = self.request(self.by_id["cancel_order"])
            cancel.headers["If-Match"] = f'"{order["version"]}"'  # paying made it another one
            answer = await cancel.send(self.owner)
            assert answer.is_success, answer.text

    async def _sent(self, operation_id: str) -> Json:
        answer = await self.request(self.by_id[operation_id]).send(self.owner)
        assert answer.is_success, f"{operation_id}: {answer.text}"
        found: Json = answer.json()
        return found

    async def _bring_in(self) -> str:
        """A referral of the loyalty member at hand, who brings in another account."""
        member = self.ids["loyalty-members"]
        code = (await self._sent("get_referral_code"))["code"]
        rewards = f"/v1/loyalty-programmes/{self.ids['loyalty-programmes']}/rewards"
        version = (await self.owner.ok("GET", rewards))["version"]
        await self.owner.ok("PUT", rewards, if_match=version, json={"referral": {}})
        await self.make("accounts")
        body = {
            "programme_id": self.ids["loyalty-programmes"],
            "account_id": self.ids["accounts"],
            "referral_code": code,
        }
        await self.owner.ok("POST", "/v1/loyalty-members", json=body)
        page = await self.owner.ok("GET", f"/v1/loyalty-members/{member}/referrals")
        return str(page["data"][0]["id"])

    async def _give_points(self) -> None:
        """Something for the loyalty member at hand to spend."""
        answer = await self.request(self.by_id["adjust_loyalty_points"]).send(self.owner)
        assert answer.is_success, answer.text

    async def _merge(self) -> None:
        """A merge of two accounts that can be undone."""
        operation = self.by_id["merge_accounts"]
        await self.twins("accounts")
        answer = await self.request(operation).send(self.owner)
        assert answer.is_success, f"{operation.id}: {answer.status_code} {answer.text}"
        merge = answer.json()["merge"]
        self.ids["merges"], self.ids["record_id"] = merge["id"], merge["merged_ids"][0]
        await self.make("accounts")

    async def twins(self, resource: str) -> None:
        """Two new things of a kind, to be merged."""
        self.ids[f"{resource}/twin"] = await self.make(resource)
        await self.make(resource)

    async def replace(self, operation: Operation) -> None:
        """A new thing of the operation's kind."""
        resource = operation.resource
        if any(other.resource == resource and self._makes(other) for other in self.operations):
            await self.make(resource)

    async def _share(self, resource: str) -> None:
        sharing = next(
            (o for o in self.operations if o.path == f"/v1/{resource}/{{id}}/shares" and o.method == "POST"),
            None,
        )
        if sharing is not None:
            answer = await self.request(sharing).send(self.owner)
            assert answer.is_success, f"{sharing.id}: {answer.status_code} {answer.text}"
            self.ids[f"{resource}/shares"] = answer.json()["id"]

    # -- requests ------------------------------------------------------------------------------------------

    def request(self, operation: Operation, **names: str) -> Request:
        """A request that the company's owner may make, about the company's own things; `names` override the path."""
        path = operation.path
        for name in operation.names:
            path = path.replace(f"{{{name}}}", names.get(name) or self.name_in_path(operation, name))
        query = QUERIES.get(operation.id, "").format(**self.ids)
        special = self._special(operation)
        return Request(operation, path + (f"?{query}" if query else ""), **special)

    def name_in_path(self, operation: Operation, name: str) -> str:
        if operation.id in ("submit_form", "submit_case_form"):
            return self.ids[f"{operation.resource}/public_key"]
        if name == "object":
            return "lead"
        if name == "stage":
            return "qualification"
        if name == "plural":
            return "accounts"
        if name == "event_type":
            return declared_events()[0].type
        if name == "kind":
            return "failed"
        if name == "id":
            return (
                self.ids.get("accounts" if operation.resource == "{plural}" else operation.resource)
                or NOWHERE
            )
        if name == "notification_kind":
            return "activity.assigned"
        if name == "share_id":
            return self.ids.get(f"{operation.resource}/shares", NOWHERE)
        named = {
            "account_id": "accounts",
            "contact_id": "contacts",
            "assignment_id": "assignments",
            "lead_id": "leads",
        }
        return self.ids.get(named.get(name, name), NOWHERE)

    def _special(self, operation: Operation) -> Json:
        if operation.id == "create_file":
            return {"content": b"name\nA\n", "headers": {"Content-Type": "application/octet-stream"}}
        if operation.id == "upload_import":
            return {"content": b"name\nA\n", "headers": {"Content-Type": "application/octet-stream"}}
        if operation.id == "put_tenant_logo":
            return {"content": picture(), "headers": {"Content-Type": "image/png"}}
        if operation.id in ("create_lead_from_email", "take_case_mail"):
            mail = f"From: {self.sampler.marker}@example.com\r\nMessage-ID: <{uuid4()}>\r\nSubject: x\r\n\r\nx\r\n"
            return {"content": mail.encode(), "headers": {"Content-Type": "message/rfc822"}}
        if operation.spec.get("x-raw-body") and operation.body is not None:
            import orjson

            return {
                "content": orjson.dumps(self.body(operation)),
                "headers": {"Content-Type": "application/json"},
            }
        return {"body": self.body(operation)}

    def body(self, operation: Operation) -> Any:
        made = self.sampler.body(operation)
        more = self._more(operation)
        return {**made, **more} if isinstance(made, dict) else more or made

    def _more(self, operation: Operation) -> Json:
        """What the document alone cannot say about a body."""
        number = uuid4().hex[:8]
        if operation.path.endswith("/shares"):
            return {"member_id": self.ids["members"]}
        if operation.id == "create_exchange_rate":  # a company has one rate a day
            return {"valid_from": self._another_month()}
        if operation.id == "create_target":  # a company has one target a period
            return {"measure": "won_count", "quantity": 5, "starts_on": self._another_month()}
        if operation.id == "create_case_form":  # it says what it is about, and whom to answer
            return {"fields": [{"name": name, "label": {"en": name}} for name in ("email", "subject")]}
        if operation.path.endswith("/transfer"):
            return {"ids": [self.ids[operation.resource]], "owner_id": self.ids["members"]}
        if operation.path.endswith(("/merge", "/merge/preview")):
            id = self.ids[operation.resource]
            both = (id, self.ids.get(f"{operation.resource}/twin", NOWHERE))
            return {"records": [{"id": one, "version": 1} for one in both], "master_id": id}
        if "/batch/" in operation.path and not operation.path.endswith("/import"):
            return {"items": [self._item(operation)]}
        known: dict[str, Json] = {
            "create_custom_field": {
                "object": "lead",
                "key": f"k_{number}",
                "type": "text",
                "labels": {"en": number},
            },
            "create_privacy_request": {
                "kind": "export",
                "subjects": [{"object": "contact", "record_id": self.ids.get("contacts", NOWHERE)}],
            },
            "create_saved_view": {"object": "lead"},
            "create_import": {"object": "lead"},
            "create_export": {"object": "lead"},
            "stream_export": {"object": "lead"},
            "create_pipeline": {
                "name": {"en": f"{self.sampler.marker} {number}"},
                "stages": [
                    {"key": "open", "name": {"en": "Open"}, "probability": 10},
                    {
                        "key": "won",
                        "name": {"en": "Won"},
                        "probability": 100,
                        "is_closed": True,
                        "is_won": True,
                    },
                    {"key": "lost", "name": {"en": "Lost"}, "probability": 0, "is_closed": True},
                ],
            },
            "add_opportunity_line": {
                "product_name": f"{self.sampler.marker} {number}",
                "unit_price": {"amount": "10.00", "currency": "CNY"},
            },
            "grant_tenant_credit": {"amount": {"amount": "10.00", "currency": "USD"}},
            "mark_tenant_bill_paid": {"amount": {"amount": "10.00", "currency": "USD"}},
            "send_invoice": {"to": f"{number}@example.com"},
            "add_opportunity_cost": {"amount": {"amount": "12.00", "currency": "CNY"}},
            "submit_forecast": {"amount": {"amount": "10.00", "currency": "USD"}},
            "place_order": {"lines": [self._bought()]},
            "create_return": {"account_id": self.ids.get("accounts", NOWHERE), "lines": [self._bought()]},
            "create_product": {
                "status": "active",
                "stocked": True,
                "prices": [{"amount": "10.00", "currency": "CNY"}],
            },
            "create_agreed_price": {"account_id": self.ids.get("accounts", NOWHERE)},
            "create_configuration_rule": {"kind": "quantity", "min_quantity": "1"},
            "create_unit": {"code": f"u_{number}"},
            "create_tax_class": {"code": f"t_{number}"},
            "set_price_book_entries": {
                "entries": [{"product_id": self.ids.get("products", NOWHERE), "price": "9.50"}]
            },
            "create_contact": {"family_name": f"{self.sampler.marker} {number}"},
            "create_quote": _quote(self.ids.get("accounts", NOWHERE)),
            "send_quote": {"by_mail": False},
            "create_lead_assignment_rule": {"target_id": self.ids.get("teams")},
            "create_lead_queue": {"member_ids": [str(self.company.member_id)]},
            "create_approval_process": {
                "object": "account",
                "requester_may_approve": True,
                "steps": [
                    {
                        "key": "one",
                        "name_en": f"{self.sampler.marker} {number}",
                        "approvers": [{"kind": "member", "member_ids": [str(self.company.member_id)]}],
                    }
                ],
            },
            "create_approval": {"object": "account"},
            "preview_approval": {"object": "account"},
            "create_approval_delegation": {"ends_at": "2026-03-02T12:00:00Z"},
            "create_absence": {"ends_at": "2026-03-02T12:00:00Z"},
            "assign_leads": {"ids": [self.ids["leads"]]} if "leads" in self.ids else {},
            "preview_lead_assignment": {"ids": [self.ids["leads"]]} if "leads" in self.ids else {},
            "create_contract": {"account_id": self.ids.get("accounts")},
            "create_price_book_entry": {
                "price_book_id": self.ids.get("price-books"),
                "product_id": self.ids.get("products"),
            },
            "create_contract_amendment": {"changes": {"title": f"{self.sampler.marker} {number}"}},
            "create_asset": {"name": f"{self.sampler.marker} {number}"},
            "create_telemetry_rule": {"threshold": "80"},
            "add_work_order_part": {"description": f"{self.sampler.marker} {number}"},
            "create_loyalty_programme": {
                "earn_rules": [{"key": "review", "kind": "event", "event": "review"}],
            },
            "create_loyalty_member": {
                "programme_id": self.ids.get("loyalty-programmes"),
                "account_id": self.ids.get("accounts", NOWHERE),
            },
            "top_up_wallet": {"amount": {"amount": "100000.00", "currency": "CNY"}},
            "pay_from_wallet": {"order_id": self.ids.get("orders", NOWHERE)},
            "refund_to_wallet": {"transaction_id": self.ids.get("transactions", NOWHERE)},
            "withdraw_from_wallet": {"amount": {"amount": "1.00", "currency": "CNY"}},
            "freeze_wallet": {"currency": "CNY"},
            "unfreeze_wallet": {"currency": "CNY"},
            "adjust_wallet": {"amount": {"amount": "1.00", "currency": "CNY"}},
            "create_payment": {"method": "cash"},
            "burn_loyalty_points": {"reserve": True},
            "create_coupon": {"percent": "10", "code": f"C-{number}"},
            "issue_coupon": {"member_id": self.ids.get("loyalty-members", NOWHERE)},
            "evaluate_coupons": {"account_id": self.ids.get("accounts", NOWHERE)},
            "transfer_loyalty_points": {"to_member_id": self.ids.get("loyalty-members/twin", NOWHERE)},
            "create_activity": {"subject": f"{self.sampler.marker} {number}"},
            "optimise_assignment": {
                "ids": [self.ids.get("leads", NOWHERE)],
                "members": [{"member_id": self.ids["members"]}],
            },
            "replay_webhook_events": {"since": "2026-03-01T12:00:00Z"},
            "create_webhook_endpoint": {"url": f"http://127.0.0.1:9/{number}"},
            "switch_company": {"tenant_id": self.ids["tenants"]},
            "change_password": {"current_password": PASSWORD, "new_password": PASSWORD + number},
            "start_totp": {"password": PASSWORD},
            "disable_totp": {"password": PASSWORD},
            "renew_recovery_codes": {"password": PASSWORD},
        }
        return known.get(operation.id, {})

    def _another_month(self) -> str:
        """The first day of a month that no other body has."""
        years, months = divmod(next(self._months), 12)
        return f"{1900 + years}-{1 + months:02}-01"

    def _bought(self) -> Json:
        """A line of an order or a return."""
        price = {"amount": "10.00", "currency": "CNY"}
        return {"description": self.sampler.marker, "quantity": "1", "unit_price": price}

    def _item(self, operation: Operation) -> Json:
        """One item of a batch."""
        verb, id = operation.path.rpartition("/")[2], self.ids[operation.resource]
        if verb in ("update", "delete"):
            return {"id": id, "record": {}} if verb == "update" else {"id": id}
        creating = next(
            o for o in self.operations if o.path == f"/v1/{operation.resource}" and o.method == "POST"
        )
        record = self.body(creating)
        return {"record": record | ({"external_id": uuid4().hex} if verb == "upsert" else {})}


_FROM_WALLETS = frozenset({"pay_from_wallet", "refund_to_wallet", "withdraw_from_wallet", "unfreeze_wallet"})
NOWHERE = "0198c0de-0000-7000-8000-000000000000"
PARTS = {
    "line_id": "add_opportunity_line",
    "rival_id": "add_opportunity_competitor",
    "seat_id": "add_opportunity_contact",
    "team_member_id": "add_opportunity_team_member",
    "cost_id": "add_opportunity_cost",
    "burn_id": "burn_loyalty_points",
    "referral_id": "create_loyalty_member",
    "part_id": "add_work_order_part",
}
"""What hangs on a thing and has a name of its own in paths: the name, and the operation that makes one."""
QUERIES = {
    "compare_quotes": "with={quotes}",
    "get_timeline": "object=account&record_id={accounts}",
    "list_import_fields": "object=lead",
    "find_people": "email=somebody@example.com",
    "get_opportunity_statistics": "group_by=stage",
    "get_win_loss": "group_by=reason",
    "get_activity_report": "from=2026-01-01&before=2026-04-01",
    "get_account_statement": "account_id={accounts}",
    "get_account_credit": "account_id={accounts}",
    "get_team_calendar": "from=2031-03-03T00:00:00Z&to=2031-03-04T00:00:00Z",
    "get_free_busy": "from=2031-03-03T00:00:00Z&to=2031-03-04T00:00:00Z",
    "list_free_slots": "from=2031-03-03T00:00:00Z&to=2031-03-04T00:00:00Z",
    "list_asset_telemetry": "metric=operating_hours",
    "get_wallet_statement": "currency=CNY&since=2026-01-01&until=2026-12-31",
    "list_activity_occurrences": "from=2031-03-03T00:00:00Z&to=2031-03-04T00:00:00Z",
}


async def world_of(app: Application, look: Look, marker: str) -> World:
    """A new company with one of everything."""
    from tests.support.api import sign_up

    company = await sign_up(app, company=f"{marker} Ltd", name=f"{marker} Owner")
    found = World(company, look, marker)
    await found.build()
    return found


def tenant_ids(*worlds: World) -> list[UUID]:
    return [world.company.tenant_id for world in worlds]


def _quote(account_id: str) -> Json:
    """A quote that can be sent."""
    price = {"amount": "10.00", "currency": "USD"}
    return {
        "account_id": account_id,
        "lines": [{"description": "Work", "quantity": "1", "unit_price": price}],
    }
