"""The demo company: the same bytes from the same seed, consistent histories, nobody real."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import phonenumbers
import pytest
from email_validator import validate_email
from stdnum.cn import uscc

from app.demo.generator import canonical_json, generate
from app.demo.records import DemoCompany, as_payload

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
RESERVED_ZONES = (".example.com", ".example.net", ".example.org")


@pytest.fixture(scope="module")
def company() -> DemoCompany:
    return generate(7, now=NOW)


def test_the_default_company_has_the_promised_numbers_of_records(company):
    assert (len(company.accounts), len(company.contacts), len(company.leads)) == (200, 600, 1500)
    assert Counter(member.role for member in company.members) == {"owner": 1, "manager": 2, "salesperson": 10}
    assert [team.parent for team in company.teams] == [None, "team-sales", "team-sales", "team-sales"]


def test_the_same_seed_gives_the_same_bytes_under_any_hash_seed(company):
    expected = hashlib.sha256(canonical_json(company)).hexdigest()
    script = (
        "import hashlib; from datetime import datetime; from app.demo.generator import *;"
        f"company = generate(7, now=datetime.fromisoformat('{NOW.isoformat()}'));"
        "print(hashlib.sha256(canonical_json(company)).hexdigest())"
    )
    for hash_seed in ("0", "4711"):
        answer = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.strip() == expected


def test_another_seed_gives_another_company(company):
    assert canonical_json(generate(8, now=NOW)) != canonical_json(company)


def test_every_reference_points_at_a_record_that_exists(company):
    people = {member.email for member in company.members}
    teams = {team.external_id for team in company.teams}
    accounts = {account.external_id for account in company.accounts}
    contacts = {contact.external_id: contact.account for contact in company.contacts}
    leads = {lead.external_id for lead in company.leads}
    deals = {deal.external_id: deal for deal in company.opportunities}
    assert {member.team for member in company.members} <= teams
    assert {team.manager for team in company.teams} <= people
    assert {a.owner for a in company.accounts} | {d.owner for d in deals.values()} <= people
    assert {lead.owner for lead in company.leads} - {None} <= people
    assert {a.parent for a in company.accounts} - {None} <= accounts
    assert set(contacts.values()) <= accounts
    for deal in deals.values():
        assert deal.account in accounts
        assert deal.contact is None or contacts[deal.contact] == deal.account
    for lead in company.leads:
        if lead.became:
            assert contacts[lead.became.contact] == lead.became.account
            opportunity = lead.became.opportunity
            assert opportunity is None or deals[opportunity].contact == lead.became.contact
    for activity in company.activities:
        assert activity.about_external_id in (accounts if activity.about == "account" else leads)
        assert activity.author in people


def test_external_ids_are_unique_and_parents_come_before_their_children(company):
    for records in (
        company.accounts,
        company.contacts,
        company.leads,
        company.opportunities,
        company.activities,
    ):
        assert len({record.external_id for record in records}) == len(records)
    seen = set()
    for account in company.accounts:
        assert account.parent is None or account.parent in seen
        seen.add(account.external_id)


def test_a_leads_steps_follow_each_other_and_agree_with_its_status(company):
    for lead in company.leads:
        steps = lead.timeline
        taken = [
            moment
            for moment in (
                lead.created_at,
                steps.first_response_at,
                steps.qualified_at,
                steps.converted_at or steps.disqualified_at,
            )
            if moment
        ]
        assert taken == sorted(taken)
        assert NOW - timedelta(days=549) <= taken[0]
        assert taken[-1] <= NOW
        assert (lead.status == "new") == (steps.first_response_at is None)
        assert (lead.status == "converted") == (steps.converted_at is not None) == (lead.became is not None)
        assert (lead.status in ("qualified", "converted")) == (steps.qualified_at is not None)
        assert (lead.status == "disqualified") == (steps.disqualified_at is not None)
        assert (lead.status == "disqualified") == (lead.disqualified_reason is not None)


def test_opportunities_close_after_they_open_and_never_in_the_future(company):
    for deal in company.opportunities:
        assert (deal.status == "open") == (deal.closed_at is None)
        assert (deal.status == "lost") == (deal.loss_reason is not None)
        assert (deal.status == "won") == (deal.stage == "won")
        assert deal.created_at <= (deal.closed_at or NOW) <= NOW
        assert deal.amount.amount > 0
    assert {deal.amount.currency for deal in company.opportunities} == {"CNY", "USD"}


def test_deals_are_made_of_what_exists_and_their_lines_add_up(company):
    deals = {deal.external_id: deal for deal in company.opportunities}
    contacts = {contact.external_id: contact.account for contact in company.contacts}
    sellers = {member.email for member in company.members if member.role == "salesperson"}
    rivals = {competitor.external_id for competitor in company.competitors}
    assert {deal.opportunity for deal in company.deals} >= {
        deal.external_id for deal in company.opportunities if deal.status == "open"
    }
    for deal in company.deals:
        whole = deals[deal.opportunity]
        assert sum(int(line.quantity) * line.unit_price.amount for line in deal.lines) == whole.amount.amount
        assert {line.unit_price.currency for line in deal.lines} == {whole.amount.currency}
        assert all(line.unit_price.amount > 0 for line in deal.lines)
        assert set(deal.competitors) <= rivals
        assert deal.lost_to is None or deal.lost_to in deal.competitors
        assert (deal.lost_to is not None) == (whole.loss_reason == "competitor")
        assert {contacts[contact] for contact, _ in deal.contacts} <= {whole.account}
        assert deal.colleague is None or deal.colleague in sellers - {whole.owner}
        assert deal.moves_to is None or whole.status == "open"
    assert any(deal.moves_to for deal in company.deals)


def test_nothing_exists_before_what_it_belongs_to(company):
    born = {account.external_id: account.created_at for account in company.accounts}
    assert all(contact.created_at >= born[contact.account] for contact in company.contacts)
    assert all(deal.created_at >= born[deal.account] for deal in company.opportunities)
    born |= {lead.external_id: lead.created_at for lead in company.leads}
    for activity in company.activities:
        assert born[activity.about_external_id] <= activity.occurred_at <= NOW
        assert activity.done_at is None or activity.occurred_at < activity.done_at <= NOW


def test_referrals_convert_far_better_than_cold_calls(company):
    rates = {}
    for source in ("referral", "cold_call"):
        leads = [lead for lead in company.leads if lead.source == source]
        rates[source] = sum(lead.status == "converted" for lead in leads) / len(leads)
    assert rates["referral"] > 3 * rates["cold_call"]


def test_every_phone_parses_and_none_can_be_called(company):
    phones = {
        record.phone for record in (*company.accounts, *company.contacts, *company.leads, *company.members)
    }
    for phone in phones:
        parsed = phonenumbers.parse(phone)
        assert phonenumbers.is_possible_number(parsed), phone
        assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == phone
        national = str(parsed.national_number)
        if parsed.country_code == 1:
            assert national[3:8] == "55501"
        elif parsed.country_code == 61:
            assert national[1:5] == "5550"
        elif parsed.country_code == 44:
            assert national.startswith(("7700900", "2079460")) or national[3:7] == "4960"
        elif national.startswith("140"):
            assert len(national) == 11
        else:
            assert parsed.country_code == 86
            assert national[-8] == "0"


def test_every_mail_and_website_lies_in_a_reserved_domain(company):
    for record in (*company.accounts, *company.contacts, *company.leads, *company.members):
        assert record.email.lower().endswith(RESERVED_ZONES)
        validate_email(record.email, check_deliverability=False)
    for record in (*company.accounts, *company.leads):
        assert record.website is None or record.website.endswith(RESERVED_ZONES)


def test_chinese_registration_numbers_are_well_formed_in_a_division_nobody_has(company):
    numbers = [a.registration_number for a in company.accounts if a.country == "CN" and a.registration_number]
    assert len(numbers) > 100
    assert all(uscc.is_valid(number) and number.startswith("9199") for number in numbers)


def test_the_known_near_duplicates_are_the_only_shared_mails(company):
    assert Counter(pair.kind for pair in company.near_duplicates) == {"account": 2, "contact": 6, "lead": 15}
    leads = {lead.external_id: lead for lead in company.leads}
    pairs = {(p.external_id, p.resembles) for p in company.near_duplicates if p.kind == "lead"}
    for copy, original in pairs:
        assert leads[copy].email != leads[original].email
        assert leads[copy].email.lower() == leads[original].email.lower()
    shared = [mail for mail, times in Counter(x.email.lower() for x in company.leads).items() if times > 1]
    assert sorted(shared) == sorted(leads[original].email for _, original in pairs)
    for records in (company.accounts, company.contacts):
        assert len({record.email for record in records}) == len(records)


def test_a_payload_leaves_private_facts_and_absent_values_out(company):
    lead = next(lead for lead in company.leads if lead.source == "referral" and lead.became)
    payload = as_payload(lead)
    assert {"timeline", "became", "utm_source"}.isdisjoint(payload)
    assert payload["created_at"] == lead.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    private = as_payload(lead, private=True)
    assert private["became"] == as_payload(lead.became)
    assert set(private) - set(payload) == {f.name for f in fields(lead) if f.metadata}
    deal = company.opportunities[0]
    assert as_payload(deal)["amount"] == {
        "amount": f"{deal.amount.amount:.2f}",
        "currency": deal.amount.currency,
    }


def test_other_sizes_are_met_exactly():
    small = generate(1, accounts=20, contacts=30, leads=900, months=6, now=NOW)
    assert (len(small.accounts), len(small.contacts), len(small.leads)) == (20, 30, 900)
    assert min(lead.created_at for lead in small.leads) >= NOW - timedelta(days=183)
    assert len([lead for lead in small.leads if lead.became]) <= 15


def test_a_clock_without_a_zone_or_a_company_too_small_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        generate(1, now=NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="at least ten"):
        generate(1, leads=9, now=NOW)


def test_the_diary_has_meetings_with_attendees_visits_and_what_recurs(company):
    people = {member.email for member in company.members}
    contacts = {contact.external_id: contact.account for contact in company.contacts}
    planned = [activity for activity in company.activities if activity.starts_at or activity.recurrence]
    assert Counter(activity.kind for activity in planned) == {"meeting": 19, "visit": 8, "task": 10}
    for activity in planned:
        outside = [one for one in activity.attendees if one not in people]
        assert {contacts[one] for one in outside} <= {activity.about_external_id}
        if activity.kind == "meeting" and not activity.recurrence:
            assert outside
            assert activity.starts_at > NOW
        if activity.kind == "visit":
            assert activity.place
            assert (activity.done_at is None) == (activity.starts_at > NOW)
    series = [activity for activity in planned if activity.kind == "meeting" and activity.recurrence]
    assert [activity.recurrence for activity in series] == ["FREQ=WEEKLY;BYDAY=MO"] * 3
    assert {activity.starts_at.strftime("%a %H:%M") for activity in series} == {"Mon 09:00"}
