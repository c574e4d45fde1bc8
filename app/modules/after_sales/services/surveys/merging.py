"""Contacts who were asked move along when they become one."""

from __future__ import annotations

from app.kernel.merging.references import LinkColumn
from app.kernel.uow import UnitOfWork


def asked_contacts(uow: UnitOfWork) -> LinkColumn:
    """Contacts of invitations."""
    return LinkColumn(
        uow,
        "after_sales.survey_invitations",
        "contact_id",
        kind="survey_invitations",
        objects=["contact"],
    )
