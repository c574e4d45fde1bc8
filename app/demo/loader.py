"""Puts the generated company into Rapport through its public API, and goes on where it was interrupted.

Every step can be repeated without harm: records carry external ids and are upserted, sign-up has an idempotency
key, and what is finished is noted in the state. So killing it at any moment costs the step at hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

from app.demo import rows
from app.demo.bulk import ImportOrder, follow_import, start_import
from app.demo.care import CareLoader
from app.demo.case_loader import CaseLoader
from app.demo.catalogue_loader import CatalogueLoader
from app.demo.chain_loader import ChainLoader, still_open
from app.demo.client import Api, ApiFailure
from app.demo.contract_loader import ContractLoader
from app.demo.coupon_loader import CouponLoader
from app.demo.deal_loader import DealLoader
from app.demo.desk_loader import PRESENCE, DeskLoader
from app.demo.files import csv_of
from app.demo.generator import cases_of, generate, sales_of
from app.demo.loyalty_loader import LoyaltyLoader
from app.demo.order_loader import OrderLoader
from app.demo.orders import DemoSales
from app.demo.people_loader import PeopleLoader
from app.demo.quotes import QUOTES, QuoteLoader
from app.demo.receivable_loader import ReceivableLoader
from app.demo.records import DemoCompany, DemoMember
from app.demo.rows import Ids, Row
from app.demo.service import ServiceLoader
from app.demo.state import DemoState

Show = Callable[[str, int, int], None]
_BATCH: Final = 100
_PARALLEL: Final = 4


def _quiet(step: str, done: int, total: int) -> None:
    """Nobody watches."""


class DemoLoader:
    """One load of one company."""

    def __init__(self, api: Api, state: DemoState) -> None:
        self._public = api
        self._state = state
        self._company: DemoCompany | None = None
        self._show: Show = _quiet

    @property
    def company(self) -> DemoCompany:
        """What is to be there, generated from the state's seed."""
        if self._company is None:
            self._company = generate(self._state.seed, now=self._state.now)
        return self._company

    async def is_there(self) -> bool:
        """Whether this very company was loaded to the end and its key still works."""
        return self._state.done("all") and await self._key_works()

    async def load(self, show: Show = _quiet) -> None:
        """Load what is missing. `show(step, done, total)` tells how far it is.

        Raises: ApiFailure; httpx.TransportError when the API goes away.
        """
        self._show = show
        session = await self._sign_in()
        await self._key(session)
        people = PeopleLoader(self._public, session, self._state, self.company, show)
        steps: Sequence[tuple[str, Callable[[], Any]]] = (
            ("teams", people.teams),
            ("members", people.members),
            ("products", self._catalogue),
            ("accounts", self._accounts),
            ("contacts", self._contacts),
            ("leads", self._leads),
            ("conversions", self._conversions),
            ("opportunities", self._opportunities),
            ("deals", self._deals),
            ("activities", self._activities),
            ("contracts", self._contracts),
            ("quotes", self._quotes),
            ("loyalty", self._loyalty),
            ("orders", self._orders),
            ("coupons", self._coupons),
            ("chains", self._chains),
            ("cases", self._cases),
            ("care", self._care),
            ("desk", self._desk),
            ("service", self._service),
        )
        for name, step in steps:
            if not self._state.done(name):
                await step()
                self._state.finish(name)
        self._state.finish("all")

    # -- who -----------------------------------------------------------------------------------------------

    async def _key_works(self) -> bool:
        if not self._state.api_key:
            return False
        try:
            await self._public.as_user(self._state.api_key).get("/v1/me")
        except ApiFailure as failure:
            if failure.status != 401:
                raise
            return False
        return True

    async def _sign_in(self) -> Api:
        """A session of the owner, whose company is made if it is not there."""
        company, owner = self.company, self.company.members[0]
        proof = {"email": owner.email, "password": self._state.password}
        self._state.note(company=company.name, people=_examples(company.members))
        try:
            tokens = await self._public.post("/v1/sessions", proof)
        except ApiFailure as failure:
            if failure.status != 401:
                raise
            # Nobody of that name, or another password: sign-up tells which.
            self._state.forget_progress()
            form = {
                "company": company.name,
                "name": owner.name,
                "locale": company.locale,
                "country": "CN",
                "time_zone": company.time_zone,
                "currency": company.currency,
            }
            tokens = await self._sign_up(proof | form)
        return self._public.as_user(tokens["access_token"])

    async def _sign_up(self, form: dict[str, Any]) -> Any:
        try:
            return await self._public.post("/v1/sign-up", form, key=f"demo-{self._state.seed}")
        except ApiFailure as failure:
            if failure.code != "email_in_use":
                raise
            advice = (
                f"{form['email']} has signed up here before, with a password that this folder does not know."
                " Use the folder of the first run (RAPPORT_DATA_DIR), another --seed, or another database"
            )
            raise ApiFailure("POST", "/v1/sign-up", failure.status, {"detail": advice}) from None

    async def _key(self, session: Api) -> None:
        if not await self._key_works():
            made = await session.post("/v1/api-keys", {"name": "Demo"})
            self._state.note(api_key=made["key"])

    @property
    def _api(self) -> Api:
        return self._public.as_user(self._state.api_key)

    async def _owners(self, api: Api) -> dict[str, str]:
        return {one["email"]: one["id"] async for one in api.pages("/v1/members")}

    # -- records -------------------------------------------------------------------------------------------

    async def _catalogue(self) -> None:
        self._state.count("products", await CatalogueLoader(self._api).load())

    async def _accounts(self) -> None:
        company = self.company
        await self._upsert("accounts", rows.account_rows(company.accounts, await self._owners(self._api)))
        ids = await self._ids("accounts")
        changes = rows.parent_changes(company.accounts, ids)
        await self._batches("accounts", "update", changes, step="parents")

    async def _contacts(self) -> None:
        company, ids, owners = self.company, await self._ids("accounts"), await self._owners(self._api)
        made = rows.contact_rows(company.contacts, company.accounts, ids, owners)
        await self._upsert("contacts", made)

    async def _leads(self) -> None:
        await self._upsert("leads", rows.lead_rows(self.company.leads, await self._owners(self._api)))

    async def _conversions(self) -> None:
        """Replay what became of leads; converting one again answers what it became the first time."""
        company = self.company
        accounts, contacts = await self._ids("accounts"), await self._ids("contacts")
        pages = self._api.pages("/v1/leads", fields="id,external_id,version")
        leads = {one["external_id"]: one async for one in pages}
        converted = [lead for lead in company.leads if lead.became]
        gate, done = asyncio.Semaphore(_PARALLEL), 0

        async def convert(lead: Any) -> None:
            nonlocal done
            became, found = lead.became, leads[lead.external_id]
            plan: dict[str, Any] = {
                "account": {"id": accounts[became.account]},
                "contact": {"id": contacts[became.contact]},
            }
            if became.opportunity:
                plan["opportunity"] = {"external_id": became.opportunity}
            async with gate:
                headers = {"If-Match": f'"{found["version"]}"'}
                await self._api.post(f"/v1/leads/{found['id']}/convert", plan, key=str(uuid4()), **headers)
            done += 1
            self._show("conversions", done, len(converted))

        await _all(convert(lead) for lead in converted)

    async def _opportunities(self) -> None:
        accounts, contacts = await self._ids("accounts"), await self._ids("contacts")
        owners = await self._owners(self._api)
        made = rows.opportunity_rows(self.company.opportunities, accounts, contacts, owners)
        # Conversions opened many of them already, today and in the first stage; now they get their history.
        there = await self._ids("opportunities")
        for row in made:
            if row["external_id"] in there:
                del row["created_at"]
        await self._upsert("opportunities", made, there=())

    async def _deals(self) -> None:
        deals = DealLoader(self._api, self.company, partial(self._show, "deals"))
        await deals.settings()
        await deals.deals(
            opportunities=await self._ids("opportunities"),
            contacts=await self._ids("contacts"),
            members=await self._owners(self._api),
        )
        self._state.count("competitors", len(self.company.competitors))

    async def _contracts(self) -> None:
        loader = ContractLoader(self._api, self.company, partial(self._show, "contracts"))
        await loader.load(
            accounts=await self._ids("accounts"),
            contacts=await self._ids("contacts"),
            opportunities=await self._ids("opportunities"),
            members=await self._owners(self._api),
        )
        self._state.count("contracts", len(loader.deals))

    async def _loyalty(self) -> None:
        sales, accounts = self._sales(), await self._ids("accounts")
        buyers = {one.account: accounts[one.account] for one in sales.orders}
        first = min(one.ordered_on for one in sales.orders)
        loader = LoyaltyLoader(self._api, self.company.currency)
        self._state.count("loyalty members", await loader.load(buyers, since=first.isoformat()))

    def _sales(self) -> DemoSales:
        return sales_of(self._state.seed, self.company, now=self._state.now)

    async def _orders(self) -> None:
        sales = self._sales()
        accounts, members = await self._ids("accounts"), await self._owners(self._api)
        loader = OrderLoader(self._api, sales, members=members, products=await self._ids("products"))
        await loader.load(accounts)
        money = ReceivableLoader(self._api, orders=await self._ids("orders"), accounts=accounts)
        await money.load(sales.invoices)
        for name, count in sales.counts.items():
            self._state.count(name, count)

    async def _chains(self) -> None:
        chains = still_open(self.company)
        loader = ChainLoader(
            self._api,
            opportunities=await self._ids("opportunities"),
            products=await self._ids("products"),
            show=partial(self._show, "chains"),
        )
        await loader.load(chains, self._sales().current)
        self._state.count("chains", len(chains))

    async def _coupons(self) -> None:
        accounts = await self._ids("accounts")
        buyers = [accounts[key] for key in sorted(accounts)]
        count = await CouponLoader(self._api, self.company.currency).load(buyers)
        self._state.count("coupons", count)

    async def _care(self) -> None:
        """What is known, and how customers found the help; asked of those who worked with them."""
        members = await self._owners(self._api)
        agents = [members[email] for email in sorted(members)][:3]
        for name, count in (await CareLoader(self._api, await self._ids("contacts"), agents).load()).items():
            self._state.count(name, count)

    async def _desk(self) -> None:
        members, company = await self._owners(self._api), self.company
        workers = [one.email for one in company.members if one.role == "salesperson"][: len(PRESENCE)]
        loader = DeskLoader(
            self._api,
            agents=[members[email] for email in workers],
            numbers=[one.phone for one in company.contacts],
            seed=self._state.seed,
        )
        self._state.count("calls", await loader.load())

    async def _cases(self) -> None:
        made = cases_of(self._state.seed, self.company, now=self._state.now)
        loader = CaseLoader(
            self._api,
            accounts=await self._ids("accounts"),
            products=await self._ids("products"),
            members=await self._owners(self._api),
        )
        await loader.load(made)
        self._state.count("cases", len(made))

    async def _service(self) -> None:
        sales = sales_of(self._state.seed, self.company, now=self._state.now)
        products = {one["code"]: one["id"] async for one in self._api.pages("/v1/products", fields="id,code")}
        accounts = await self._ids("accounts")
        loader = ServiceLoader(self._api, accounts=accounts, products=products, now=self._state.now)
        for name, count in (await loader.load(sales.orders)).items():
            self._state.count(name, count)

    async def _activities(self) -> None:
        ids = {
            "account": await self._ids("accounts"),
            "contact": await self._ids("contacts"),
            "lead": await self._ids("leads"),
        }
        made = rows.activity_rows(self.company.activities, ids, await self._owners(self._api))
        there = await self._ids(
            "activities"
        )  # no file can say what an activity is about, so these go in batches
        items = [
            {"ref": row["external_id"], "record": row} for row in made if row["external_id"] not in there
        ]
        await self._batches("activities", "create", items)
        self._state.count("activities", len(made))

    async def _quotes(self) -> None:
        today = datetime.now(ZoneInfo(self.company.time_zone)).date()
        await QuoteLoader(self._api, await self._ids("accounts"), today, partial(self._show, "quotes")).load()
        self._state.count("quotes", len(QUOTES))

    async def _upsert(
        self, plural: str, made: Sequence[Row], *, there: Collection[str] | None = None
    ) -> None:
        """Import what is missing; `there` are the external ids to leave alone, those that exist if not given."""
        there = await self._ids(plural) if there is None else there
        missing = [row for row in made if row["external_id"] not in there]
        if missing:
            order = ImportOrder(plural, mode="upsert", key="external_id", duplicate_rule="allow")
            started = await start_import(self._api, order, f"{plural}.csv", csv_of(missing))
            ended = await follow_import(self._api, started, partial(self._show, plural))
            if ended["state"] != "completed":
                raise ApiFailure(
                    "POST", "/v1/imports", 422, {"detail": await self._explanation(plural, ended)}
                )
        self._state.count(plural, len(made))

    async def _explanation(self, plural: str, ended: Mapping[str, Any]) -> str:
        if ended["error"]:
            return f"the import of {plural} {ended['state']}: {ended['error']['detail']}"
        answer = await self._api.send("GET", ended["results"]["failed"])
        first = answer.text.splitlines()[1:2]
        return f"{ended['failed']} of {ended['total']} {plural} were refused, the first: {first}"

    async def _batches(
        self, plural: str, verb: str, items: Sequence[Mapping[str, Any]], step: str = ""
    ) -> None:
        """Send items in batches, a few at a time; all of them must pass."""
        gate, done = asyncio.Semaphore(_PARALLEL), 0

        async def send(part: Sequence[Mapping[str, Any]]) -> None:
            nonlocal done
            async with gate:
                # A key of its own per batch: what collides with another batch is safe to send again.
                answer = await self._api.post(f"/v1/{plural}/batch/{verb}", {"items": part}, key=str(uuid4()))
            _refuse_failures(plural, answer["results"])
            done += len(part)
            self._show(step or plural, done, len(items))

        await _all(send(items[at : at + _BATCH]) for at in range(0, len(items), _BATCH))

    async def _ids(self, plural: str) -> Ids:
        pages = self._api.pages(f"/v1/{plural}", fields="id,external_id")
        return {one["external_id"]: one["id"] async for one in pages if one["external_id"]}


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it at once; the first failure ends the rest and is raised itself."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _refuse_failures(name: str, results: Iterable[Mapping[str, Any]]) -> None:
    bad = [result for result in results if result["error"]]
    if bad:
        error = bad[0]["error"]
        detail = f"{len(bad)} {name} were refused, the first ({bad[0]['ref']}): {error['detail']}"
        raise ApiFailure(
            "POST", f"/v1/{name}/batch/upsert", 422, {"detail": detail, "errors": error["errors"]}
        )


def _examples(members: Sequence[DemoMember]) -> dict[str, str]:
    """One person per role, to sign in as."""
    found: dict[str, str] = {}
    for member in members:
        found.setdefault(member.role.capitalize(), member.email)
    return found
