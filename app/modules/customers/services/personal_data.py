"""What customers holds about a person: contacts, accounts that are consumers, and what they agreed to."""

from __future__ import annotations

from typing import Final

from app.kernel.personal_data import (
    MOMENT,
    NO_FIELDS,
    NO_LIST,
    NOTHING,
    PSEUDONYM,
    RECORD_TEXTS,
    Holding,
    Person,
)

_CONSUMER: Final = "t.kind = 'person'"
PEOPLE: Final = (
    Person(
        "account",
        names=("name",),
        emails=("email", "emails"),
        phones=("phone", "phones"),
        condition=_CONSUMER,
        consents="consents",
    ),
    Person(
        "contact",
        names=("name",),
        emails=("email", "emails"),
        phones=("phone", "mobile"),
        consents="consents",
    ),
)
_REACHED: Final = {
    "name": PSEUDONYM,
    "region": NOTHING,
    "city": NOTHING,
    "address": NOTHING,
    "phone": NOTHING,
    "email": NOTHING,
    "emails": NO_LIST,
    "source": NOTHING,
    "preferred_channel": NOTHING,
    "language": NOTHING,
    "description": NOTHING,
    "consents": NO_FIELDS,
    "email_key": NOTHING,
    "phone_key": NOTHING,
    "name_key": NOTHING,
    **RECORD_TEXTS,
}
PERSONAL_DATA: Final = (
    Holding(
        "customers.accounts",
        f"t.id IN {{account}} AND {_CONSUMER}",
        erase={
            **_REACHED,
            "phones": NO_LIST,
            "postal_code": NOTHING,
            "industry": NOTHING,
            "size": NOTHING,
            "website": NOTHING,
            "registration_number": NOTHING,
        },
        why="Orders, invoices and payments are of an account; it stays without a name.",
    ),
    Holding(
        "customers.contacts",
        "t.id IN {contact}",
        erase={
            **_REACHED,
            "family_name": NOTHING,
            "given_name": NOTHING,
            "title": NOTHING,
            "department": NOTHING,
            "account_id": NOTHING,
            "role": NOTHING,
            "reports_to_id": NOTHING,
            "mobile": NOTHING,
            "country": NOTHING,
            "time_zone": NOTHING,
            "deleted_at": f"coalesce(t.deleted_at, {MOMENT})",
        },
        why="What refers to it still counts; it is deleted and without a name.",
    ),
    Holding("customers.contact_roles", "t.contact_id IN {contact}"),
    Holding(
        "customers.consents",
        "t.record_id IN {people}",
        erase={"note": NOTHING},
        why="Proof of what was agreed to and refused, when and how; of whom is gone.",
        guarded=True,
    ),
    Holding(
        "customers.pool_movements",
        "t.record_id IN {people}",
        erase={"reason": NOTHING},
        why="Who worked on how many records is counted by it.",
        guarded=True,
    ),
)
