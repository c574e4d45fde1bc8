"""Cases about the same thing become one, and one becomes two.

The promises of the surviving case stand. Those of the others rest with them, and count again if the merge is undone.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.merging.references import LinkColumn
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.schemas.case_work import CaseSplit
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.cases.states import ENDED, CaseEnded

_TAKEN_ALONG: Final = (
    "account_id", "contact_id", "product_id", "asset_id", "order_id", "order_line_id", "queue_id", "owner_id",
    "team_id", "type", "channel", "severity", "language", "skills",
    "email",
)  # fmt: skip


def comments(uow: UnitOfWork) -> LinkColumn:
    """What was said about the cases."""
    return LinkColumn(uow, "after_sales.case_comments", "case_id", kind="case_comments", objects=["case"])


def commenters(uow: UnitOfWork) -> LinkColumn:
    """The contacts whose words comments are."""
    return LinkColumn(
        uow, "after_sales.case_comments", "contact_id", kind="case_comments", objects=["contact"]
    )


def attachments(uow: UnitOfWork) -> LinkColumn:
    """Their files; the same file hangs on a case once."""
    return LinkColumn(
        uow,
        "after_sales.case_attachments",
        "case_id",
        kind="case_attachments",
        objects=["case"],
        unique="t.file_id",
    )


def mails(uow: UnitOfWork) -> LinkColumn:
    """The mails about them: an answer to any of them finds the surviving case."""
    return LinkColumn(uow, "after_sales.case_mails", "case_id", kind="case_mails", objects=["case"])


def addresses(uow: UnitOfWork) -> LinkColumn:
    """The addresses to which answers go."""
    return LinkColumn(uow, "after_sales.case_addresses", "case_id", kind="case_addresses", objects=["case"])


def submissions(uow: UnitOfWork) -> LinkColumn:
    """What was sent by forms."""
    return LinkColumn(
        uow, "after_sales.case_form_submissions", "case_id", kind="case_form_submissions", objects=["case"]
    )


async def split(uow: UnitOfWork, id: UUID, body: CaseSplit, *, expected_version: int) -> Case:
    """Make a case of a part of another one: same customer, same thing; the named comments go along.

    So do the mails and files of these.

    Raises: NotFound; Forbidden; StaleVersion; CaseEnded; Invalid for a comment of another case.
    """
    service = CaseService(uow)
    row = await service.locked(id, expected_version)
    if row.status in ENDED:
        raise CaseEnded(f"It is {row.status}.", state=row.status)
    given = {name: getattr(row, name) for name in _TAKEN_ALONG} | {
        "subject": body.subject,
        "priority": (body.priority or row.priority),
        "split_from_id": row.id,
        "tags": list(row.tags),
    }
    made = await service.open_for_others(given)
    if body.comment_ids:
        wanted = list(dict.fromkeys(body.comment_ids))
        moved = await uow.fetch(
            "UPDATE after_sales.case_comments SET case_id = $4"
            " WHERE tenant_id = $1 AND case_id = $2 AND id = ANY($3::uuid[]) RETURNING id",
            uow.tenant_id,
            row.id,
            wanted,
            made.id,
        )
        if len(moved) < len(wanted):
            raise Invalid.at(
                "/comment_ids", "unknown_reference", "Some of these are no comments of this case."
            )
        for table in ("case_mails", "case_attachments"):  # what came or went with these words
            await uow.fetch(
                f"UPDATE after_sales.{table} SET case_id = $3 WHERE tenant_id = $1 AND comment_id = ANY($2::uuid[])",
                uow.tenant_id,
                wanted,
                made.id,
            )
    uow.record_audit("case", row.id, "split", {"split_into": [None, str(made.id)]})
    return made
