"""Accounts and contacts from files: references by external id or name, for a whole chunk in one statement each.

A row may refer to another row of the same chunk, whichever comes first; rows of later chunks are not known yet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.company_names import company_core
from app.kernel.imports.rules import Earlier, ImportColumn, ImportRow
from app.kernel.uow import UnitOfWork
from app.modules.customers.services.keys import ACCOUNTS, accounts_by_name, by_external_id
from app.modules.customers.services.trees import Tree

PARENT = ImportColumn(
    "parent", ("Parent", "上级客户", "母公司"), ("subsidiary of", "parent account", "所属集团")
)
ACCOUNT_OF_CONTACT = ImportColumn(
    "account", ("Account", "客户", "公司"), ("company", "organisation", "organization")
)
_KEY, _NAME, _NAME_AGAIN = "account's key", "account's name", "another's name"


async def resolve_accounts(
    uow: UnitOfWork,
    rows: Sequence[ImportRow],
    column: str,
    field: str,
    among: Sequence[ImportRow] = (),
    earlier: Earlier | None = None,
) -> None:
    """Turn the text in `column` into the account id `field`: by external id, then by name without legal form.

    `among` are rows of this chunk that become accounts themselves, `earlier` those that a dry run has taken back:
    what names one of them passes, without an id.
    """
    texts = {row.extras[column].strip() for row in rows if row.extras.get(column)}
    if not texts:
        return
    by_key = await by_external_id(uow, ACCOUNTS, texts)
    by_name = await accounts_by_name(uow, texts - by_key.keys())
    own_keys = {row.values["external_id"]: row.id for row in among if row.values.get("external_id")}
    own_names = _unique_names(among)
    for row in rows:
        text = (row.extras.pop(column, None) or "").strip()
        if not text:
            continue
        found = (
            own_keys.get(text) or by_key.get(text) or by_name.get(text) or own_names.get(company_core(text))
        )
        if found is None and earlier is not None and _stood(earlier, text):
            continue
        if found is None:
            row.refuse(column, "unknown_reference", f"There is no account {text!r}, or more than one.")
        else:
            row.values[field] = found
            row.given = row.given | {field}


def remember_accounts(rows: Sequence[ImportRow], earlier: Earlier) -> None:
    """Keep by which texts rows to come may name these new accounts, once a dry run has taken them back."""
    for row in rows:
        if row.faults:
            continue
        if row.values.get("external_id"):
            earlier.lines[_KEY, row.values["external_id"]] = row.line
        core = company_core(row.values.get("name") or "")
        if (_NAME, core) in earlier.lines:
            earlier.lines[_NAME_AGAIN, core] = row.line
        earlier.lines.setdefault((_NAME, core), row.line)


def _stood(earlier: Earlier, text: str) -> bool:
    core = company_core(text)
    once = (_NAME, core) in earlier.lines and (_NAME_AGAIN, core) not in earlier.lines
    return once or (_KEY, text) in earlier.lines


def _unique_names(rows: Sequence[ImportRow]) -> Mapping[str, UUID | None]:
    found: dict[str, UUID | None] = {}
    for row in rows:
        core = company_core(row.values.get("name") or "")
        found[core] = None if core in found else row.id
    return found


async def require_visible(
    service: Any, rows: Sequence[ImportRow], field: str, own: Collection[UUID] = ()
) -> None:
    """Refuse rows whose `field` names a record that the actor may not read, in one statement."""
    wanted = {row.values[field] for row in rows if row.values.get(field) is not None} - set(own)
    seen = await service.get_many(sorted(wanted)) if wanted else {}
    for row in rows:
        id = row.values.get(field)
        if id in wanted and id not in seen:
            row.refuse(field, "unknown_reference", f"There is no {service.record.object} with this id.")


async def check_new_tree(uow: UnitOfWork, rows: Sequence[ImportRow], tree: Tree) -> None:
    """Refuse new rows that would stand below themselves or too deep. Rows have their ids already."""
    column = tree.column
    above = {row.id: row.values[column] for row in rows if row.values.get(column) is not None}
    if not above:
        return
    await tree.lock(uow)
    depths = await tree.depths(uow, {parent for parent in above.values() if parent not in above})
    for row in rows:
        if row.id not in above or row.faults:
            continue
        path: list[Any] = [row.id]
        while (parent := above.get(path[-1])) is not None and parent not in path:
            path.append(parent)
        if parent is not None:
            row.refuse(column, "hierarchy_loop", "A record cannot stand below itself.")
        elif len(path) - 1 + depths.get(path[-1], 1) > tree.levels:
            row.refuse(column, "hierarchy_too_deep", f"At most {tree.levels} levels.")


async def check_moves(uow: UnitOfWork, rows: Sequence[ImportRow], tree: Tree) -> None:
    """Refuse changes that each fit the tree as it was, but not together with those before them in the chunk."""
    moved = {
        row.existing.id: row for row in rows if row.values.get(tree.column) is not None and not row.faults
    }
    refused = await tree.refused_moves(uow, {id: row.values[tree.column] for id, row in moved.items()})
    for id, problem in refused.items():
        moved[id].refuse_by(problem)
