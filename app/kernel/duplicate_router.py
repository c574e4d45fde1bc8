"""The HTTP face of duplicates: the tenant's rule per record type, and the question who is there already."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Body, Header, Path
from pydantic import BaseModel, Field

from app.kernel.duplicates import SHOWN, DuplicateAction, DuplicateAware, DuplicateFinder, Found
from app.kernel.errors import FieldError, Forbidden, NotFound, StaleVersion, problems
from app.kernel.records import RecordType
from app.kernel.routing import Router, Uow, parse_if_match
from app.kernel.schemas import DuplicateCandidate, Input, Output
from app.kernel.uow import UnitOfWork


class DuplicateRuleInput(Input):
    """`block` refuses with 409, `warn` makes the record and counts the candidates, `allow` does not look."""

    action: Literal["block", "warn", "allow"]


class DuplicateRuleRead(Output):
    """What happens to new records of one type that look like others."""

    object: str
    action: Literal["block", "warn", "allow"]
    version: int = Field(description="0 while it is the default.")
    updated_at: datetime | None


class DuplicateAnswer(Output):
    """Candidates, likeliest first, and how many more there are that you may not see."""

    candidates: list[DuplicateCandidate]
    hidden: int
    action: Literal["block", "warn", "allow"] = Field(description="What the rule does to such a record.")


def answer_of(found: Found) -> DuplicateAnswer:
    """What a search for duplicates answers."""
    return DuplicateAnswer(
        candidates=[DuplicateCandidate.model_validate(c.wire()) for c in found.candidates[:SHOWN]],
        hidden=found.hidden,
        action=found.action.value,
    )


rules = Router(prefix="/v1/duplicate-rules", tags=["duplicates"])
ObjectPath = Annotated[
    str, Path(pattern="^[a-z][a-z_]{0,59}$", examples=["lead"], description="The record type.")
]


@rules.get("/{object}", access="signed_in")
async def get_duplicate_rule(uow: Uow, object: ObjectPath) -> DuplicateRuleRead:  # noqa: A002 - the field's word
    """What happens to new records of a type that look like others; `warn` unless you changed it."""
    _require_checked(uow, object)
    return await _rule(uow, object)


@rules.put("/{object}", access="duplicate_rule:manage", responses=problems(StaleVersion))
async def set_duplicate_rule(
    uow: Uow,
    object: ObjectPath,  # noqa: A002
    rule: DuplicateRuleInput,
    if_match: Annotated[
        str | None, Header(description='The version you read, `"0"` for the default.')
    ] = None,
) -> DuplicateRuleRead:
    """Say what happens to new records of a type that look like others."""
    _require_checked(uow, object)
    before = await _rule(uow, object)
    expected = parse_if_match(if_match)
    stored = await uow.fetchrow(
        "INSERT INTO kernel.duplicate_rules AS r (tenant_id, object, action, version, updated_at, updated_by)"
        " SELECT $1, $2, $3, 1, $4, $5 WHERE $6 = 0 OR EXISTS (SELECT 1 FROM kernel.duplicate_rules"
        "  WHERE tenant_id = $1 AND object = $2)"
        " ON CONFLICT (tenant_id, object) DO UPDATE SET action = excluded.action, version = r.version + 1,"
        "  updated_at = excluded.updated_at, updated_by = excluded.updated_by WHERE r.version = $6"
        " RETURNING version",
        uow.tenant_id,
        object,
        rule.action,
        uow.now,
        uow.actor.member_id,
        expected,
    )
    if stored is None:
        raise StaleVersion(current_version=before.version)
    uow.record_audit("duplicate_rule", uow.tenant_id, "updated", {object: [before.action, rule.action]})
    return await _rule(uow, object)


async def _rule(uow: UnitOfWork, object_name: str) -> DuplicateRuleRead:
    row = await uow.fetchrow(
        "SELECT object, action, version, updated_at FROM kernel.duplicate_rules"
        " WHERE tenant_id = $1 AND object = $2",
        uow.tenant_id,
        object_name,
    )
    if row is None:
        return DuplicateRuleRead(
            object=object_name, action=DuplicateAction.WARN.value, version=0, updated_at=None
        )
    return DuplicateRuleRead(**dict(row))


def _require_checked(uow: UnitOfWork, object_name: str) -> None:
    record = uow.kernel.registry.records.get(object_name)
    if record is None or not issubclass(record.service, DuplicateAware):
        raise NotFound


def _refuse_hidden(uow: UnitOfWork, object_name: str, asked: Collection[str]) -> None:
    """Who may not see a field may not find out either which record has a value that they try.

    Raises: Forbidden.
    """
    hidden = sorted(uow.actor.hidden(object_name) & set(asked))
    if hidden:
        raise Forbidden(
            f"Your role may not see: {', '.join(hidden)}.",
            errors=[FieldError(f"/{name}", "hidden_field", "Your role may not see this.") for name in hidden],
        )


def duplicate_routes(record: RecordType[Any], question: type[BaseModel]) -> Router:
    """`POST /{plural}/duplicates`: who looks like this; and `GET /{plural}/{id}/duplicates`.

    `question` has the fields that are compared, all optional. The record's service is `DuplicateAware`.
    """
    router = Router(prefix=f"/v1/{record.path}", tags=[record.module])
    noun, many = record.object.replace("_", " "), record.plural.replace("_", " ")

    async def find(uow: Uow, body: Any) -> DuplicateAnswer:
        _refuse_hidden(uow, record.object, body.model_fields_set)
        values = {name: getattr(body, name) for name in question.model_fields}
        return answer_of(await DuplicateFinder(uow, record, _service(record, uow).duplicates).find(values))

    find.__doc__ = f"Find {many} that look like this one. Likely ones come first, each with what matches."
    find.__annotations__["body"] = Annotated[question, Body()]
    router.post(
        "/duplicates",
        access=f"{record.object}:read",
        operation_id=f"find_{record.object}_duplicates",
    )(find)

    @router.get(
        "/{id}/duplicates",
        access=f"{record.object}:read",
        operation_id=f"list_{record.object}_duplicates",
        summary=f"Find {many} that look like this {noun}.",
        description="Likely ones come first, each with what matches.",
    )
    async def of_record(uow: Uow, id: UUID) -> DuplicateAnswer:
        return answer_of(await _service(record, uow).duplicates_of(id))

    return router


def _service(record: RecordType[Any], uow: UnitOfWork) -> DuplicateAware[Any]:
    service = record.service(uow)
    assert isinstance(service, DuplicateAware)  # noqa: S101 - declared so in the module
    return service
