"""The demo's records as the API takes them: which fact goes into which field, and what the API has no field for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.demo.large import LargeLead
from app.demo.records import (
    DemoAccount,
    DemoActivity,
    DemoContact,
    DemoLead,
    DemoOpportunity,
    Json,
    as_payload,
)

Row = dict[str, Json]
Ids = Mapping[str, str]
LARGE_COLUMNS = (
    "external_id", "name", "company", "title", "email", "phone", "source", "channel", "status",
    "disqualified_reason", "rating", "industry", "country", "region", "city", "description", "score", "created_at",
)  # fmt: skip


def _owned(row: Row, owners: Ids) -> Row:
    """With the owner's id in place of the address."""
    owner = row.pop("owner", None)
    return row | {"owner_id": owners[str(owner)]} if owner else row


def account_rows(accounts: Iterable[DemoAccount], owners: Ids) -> list[Row]:
    """Without parents, which must exist before they are named. `owners` gives members' ids by e-mail."""
    rows = [_owned(as_payload(account), owners) for account in accounts]
    for row in rows:
        row.pop("parent", None)
    return rows


def parent_changes(accounts: Iterable[DemoAccount], ids: Ids) -> list[dict[str, Json]]:
    """Items of a batch update that says who belongs to whom."""
    return [
        {
            "ref": account.external_id,
            "id": ids[account.external_id],
            "record": {"parent_id": ids[account.parent]},
        }
        for account in accounts
        if account.parent
    ]


def contact_rows(
    contacts: Iterable[DemoContact], accounts: Iterable[DemoAccount], ids: Ids, owners: Ids
) -> list[Row]:
    """Contacts belong to whoever has the account; `ids` are the accounts'."""
    owned_by = {account.external_id: account.owner for account in accounts}
    rows = []
    for contact in contacts:
        row = as_payload(contact)
        del row["account"]
        row |= {"account_id": ids[contact.account], "owner": owned_by[contact.account]}
        rows.append(_owned(row, owners))
    return rows


def lead_rows(leads: Iterable[DemoLead], owners: Ids) -> list[Row]:
    """Leads as far as they may be written: those that were converted arrive qualified."""
    rows = []
    for lead in leads:
        row = _owned(as_payload(lead), owners)
        if lead.status == "converted":
            row["status"] = "qualified"
        times = as_payload(lead.timeline)
        row |= {
            name: times[name]
            for name in ("first_response_at", "qualified_at", "disqualified_at")
            if name in times
        }
        rows.append(row)
    return rows


def opportunity_rows(
    opportunities: Iterable[DemoOpportunity], accounts: Ids, contacts: Ids, owners: Ids
) -> list[Row]:
    """Days where the API keeps days; a lost one stands in the stage `lost`, wherever it got to."""
    rows = []
    for opportunity in opportunities:
        row = _owned(as_payload(opportunity, private=True), owners)
        for name in ("account", "contact", "closed_at"):
            row.pop(name, None)
        row["account_id"] = accounts[opportunity.account]
        row["opened_on"] = opportunity.created_at.date().isoformat()
        if opportunity.contact:
            row["contact_id"] = contacts[opportunity.contact]
        if opportunity.closed_at:
            row["closed_on"] = opportunity.closed_at.date().isoformat()
        if opportunity.loss_reason == "other":
            row["outcome_note"] = "They stopped answering."
        rows.append(row)
    return rows


def activity_rows(activities: Iterable[DemoActivity], ids: Mapping[str, Ids], owners: Ids) -> list[Row]:
    """`ids` are those of the records that activities are about, by object."""
    return [_activity(activity, ids, owners) for activity in activities]


_ACTIVITY_FIELDS = (
    "external_id", "kind", "subject", "body", "due_at", "direction", "outcome", "duration_seconds", "starts_at",
    "ends_at", "time_zone", "place", "latitude", "longitude", "recurrence", "remind_minutes",
)  # fmt: skip


def _activity(activity: DemoActivity, by_object: Mapping[str, Ids], owners: Ids) -> Row:
    given, ids = as_payload(activity), by_object[activity.about]
    body: Row = {name: given[name] for name in _ACTIVITY_FIELDS if name in given}
    body["about"] = [{"object": activity.about, "record_id": ids[activity.about_external_id]}]
    body["happened_at"] = given["occurred_at"]
    if activity.author in owners:
        body["owner_id"] = owners[activity.author]
    if activity.attendees:
        body["attendees"] = [
            {"member_id": owners[one]}
            if one in owners
            else {"object": "contact", "record_id": by_object["contact"][one]}
            for one in activity.attendees
        ]
    if activity.kind in ("task", "meeting", "visit"):
        body["status"] = "done" if activity.done_at else "open"
        if activity.done_at:
            body["completed_at"] = given["done_at"]
    return body


def large_row(lead: LargeLead) -> list[str]:
    """One lead of the large demo, in the order of `LARGE_COLUMNS`."""
    cells = []
    for name in LARGE_COLUMNS:
        value = lead[name]  # type: ignore[literal-required]
        cells.append("" if value is None else value.isoformat() if name == "created_at" else str(value))
    return cells
