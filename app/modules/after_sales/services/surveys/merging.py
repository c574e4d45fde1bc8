"""What was asked and answered moves along when contacts or cases become one."""

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


def asked_cases(uow: UnitOfWork) -> LinkColumn:
    """Cases that somebody was asked about; each survey asks about a case once."""
    return LinkColumn(
        uow,
        "after_sales.survey_invitations",
        "case_id",
        kind="survey_invitations",
        objects=["case"],
        unique="t.survey_id",
    )


def answered_cases(uow: UnitOfWork) -> LinkColumn:
    """Cases that an article answered; each is answered so once."""
    return LinkColumn(
        uow,
        "after_sales.article_answers",
        "case_id",
        kind="article_answers",
        objects=["case"],
        unique="t.tenant_id",
    )
