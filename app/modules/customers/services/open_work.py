"""What goes along when an account changes its owner: the people in it."""

from __future__ import annotations

from typing import ClassVar

from app.kernel.sharing import GoesAlong
from app.modules.customers.services.contacts import ContactService


class AccountPeople(GoesAlong):
    """Contacts whose first account is handed over go along."""

    service = ContactService
    columns: ClassVar = {"account": "account_id"}
