"""The demo company as a whole: `generate` composes the sections, `canonical_json` fixes their bytes."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from app.demo import catalogue, duplicates, organisation
from app.demo.activities import ActivityFactory
from app.demo.cases import CaseFactory, DemoCase
from app.demo.chance import stream
from app.demo.customers import Customer, CustomerFactory
from app.demo.deals import COMPETITORS, DealFactory
from app.demo.history import Window
from app.demo.leads import LeadFactory
from app.demo.opportunities import OpportunityFactory
from app.demo.orders import DemoSales, OrderFactory
from app.demo.planned import DiaryFactory
from app.demo.records import DemoAccount, DemoCompany, DemoContact, DemoLead, DemoOpportunity, as_payload


def generate(
    seed: int,
    *,
    accounts: int = 200,
    contacts: int = 600,
    leads: int = 1500,
    months: int = 18,
    now: datetime,
) -> DemoCompany:
    """A trading company with Chinese and English-speaking customers and `months` of history up to `now`.

    The counts are exact and include the near-duplicates. The same arguments always give the same records.

    Raises: ValueError when `now` has no time zone or there are fewer than ten of anything.
    """
    if now.tzinfo is None:
        raise ValueError("now must carry a time zone")
    if min(accounts, contacts, leads) < 10 or months < 1:
        raise ValueError("the demo needs at least ten accounts, contacts and leads, and one month")
    window = Window(months=months, now=now)
    members = organisation.members(stream(seed, "members"))
    territories = organisation.Territories(members)
    copies = [duplicates.share(count) for count in (accounts, contacts, leads)]

    factory = CustomerFactory(stream(seed, "customers"), window, territories)
    customers = factory.customers(accounts - copies[0])
    people = factory.contacts(customers, contacts - copies[1])
    lead_rng = stream(seed, "leads")
    prospects = LeadFactory(lead_rng, window, territories, factory).leads(
        leads - copies[2], customers, people
    )
    customers, people = _dated(stream(seed, "dates"), window, customers, people, prospects)
    deals = OpportunityFactory(stream(seed, "opportunities"), window, customers)
    prospects = deals.from_leads(prospects)
    opportunities = deals.repeats(people)
    settled = _settled(customers, opportunities)
    activities = ActivityFactory(stream(seed, "activities"), window).all(settled, prospects, opportunities)

    diary = DiaryFactory(stream(seed, "diary"), window, members, len(activities))
    planned = diary.all(settled, people, members, organisation.teams())

    rng = stream(seed, "duplicates")
    more_accounts, account_pairs = duplicates.accounts(rng, settled, copies[0])
    more_people, contact_pairs = duplicates.contacts(rng, people, copies[1])
    more_leads, lead_pairs = duplicates.leads(rng, window, prospects, copies[2])
    return DemoCompany(
        name=organisation.NAME,
        slug=organisation.SLUG,
        locale="zh-CN",
        time_zone="Asia/Shanghai",
        currency="CNY",
        teams=organisation.teams(),
        members=members,
        accounts=(*settled, *more_accounts),
        contacts=(*people, *more_people),
        leads=(*prospects, *more_leads),
        opportunities=tuple(opportunities),
        competitors=COMPETITORS,
        deals=DealFactory(stream(seed, "deals"), people, members).deals(opportunities),
        activities=(*activities, *planned),
        near_duplicates=(*account_pairs, *contact_pairs, *lead_pairs),
    )


def sales_of(seed: int, company: DemoCompany, *, now: datetime) -> DemoSales:
    """What the company's customers bought: the same for the same company and seed."""
    factory = OrderFactory(stream(seed, "orders"), now, catalogue.products())
    return factory.sales(company.accounts, company.opportunities)


def cases_of(seed: int, company: DemoCompany, *, now: datetime) -> tuple[DemoCase, ...]:
    """What the company's customers asked for: the same for the same company and seed."""
    return CaseFactory(stream(seed, "cases"), now, catalogue.products()).cases(company.accounts)


def canonical_json(company: DemoCompany) -> bytes:
    """Every fact of the company, private ones too, as UTF-8 JSON with sorted keys."""
    return json.dumps(
        as_payload(company, private=True), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    ).encode()


def _dated(
    rng: random.Random,
    window: Window,
    customers: Sequence[Customer],
    people: Sequence[DemoContact],
    prospects: Sequence[DemoLead],
) -> tuple[list[Customer], list[DemoContact]]:
    """Accounts that leads led to begin with their first conversion, contacts with their own or later."""
    first: dict[str, DemoLead] = {}
    met: dict[str, datetime] = {}
    for lead in sorted(prospects, key=lambda lead: lead.timeline.converted_at or window.now):
        if lead.became and lead.timeline.converted_at:
            first.setdefault(lead.became.account, lead)
            met[lead.became.contact] = lead.timeline.converted_at
    born: dict[str, datetime] = {}
    dated = []
    for customer in customers:
        account = customer.account
        origin = first.get(account.external_id)
        if origin and origin.timeline.converted_at:
            account = replace(account, created_at=origin.timeline.converted_at, source=origin.source)
        born[account.external_id] = account.created_at
        dated.append(replace(customer, account=account))
    return dated, [
        replace(
            contact,
            created_at=met.get(contact.external_id) or window.between(rng, born[contact.account]),
        )
        for contact in people
    ]


def _settled(customers: Sequence[Customer], opportunities: Sequence[DemoOpportunity]) -> list[DemoAccount]:
    """The accounts with the lifecycle stage that their opportunities say."""
    outcomes: dict[str, set[str]] = {}
    for opportunity in opportunities:
        outcomes.setdefault(opportunity.account, set()).add(opportunity.status)
    return [
        replace(customer.account, lifecycle_stage=_stage(outcomes.get(customer.account.external_id, set())))
        for customer in customers
    ]


def _stage(outcomes: set[str]) -> str:
    if "won" in outcomes:
        return "customer"
    if "open" in outcomes:
        return "opportunity"
    return "lost" if outcomes else "qualified"
