"""What a stage asks before an opportunity may enter it, what may follow it, and what it gives people to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from app.kernel.errors import FieldError, Invalid, InvalidFilter
from app.kernel.listing import Bindings, Condition, FieldSet, compile_filter
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.schemas import OpportunityCreate, OpportunityRead, StageInput

_FIELDS = frozenset(OpportunityCreate.model_fields) & frozenset(OpportunityRead.model_fields) - {"custom"}


@dataclass(frozen=True, slots=True)
class Requirements:
    """What must hold on entering; see `StageRequirements`."""

    fields: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    lines: bool = False
    contact_roles: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.conditions or self.lines or self.contact_roles or self.tasks)

    def as_json(self) -> dict[str, Any]:
        """The wire form."""
        return {
            "fields": list(self.fields),
            "conditions": [{"field": c.field, "op": c.op, "value": c.value} for c in self.conditions],
            "lines": self.lines,
            "contact_roles": list(self.contact_roles),
            "tasks": list(self.tasks),
        }


@dataclass(frozen=True, slots=True)
class PlaybookRule:
    """A task that entering the stage gives out; see `PlaybookTemplate`."""

    key: str
    subject_en: str
    subject_zh: str | None
    due_in_days: int | None
    team_role: str | None
    repeat: bool


@dataclass(frozen=True, slots=True)
class StageRules:
    """A stage's rules; `moves` None allows every stage."""

    moves: tuple[str, ...] | None = None
    requirements: Requirements = field(default_factory=Requirements)
    playbook: tuple[PlaybookRule, ...] = ()

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> StageRules:
        """From the stored form; what is absent asks nothing."""
        moves = stored.get("moves")
        asked = stored.get("requirements") or {}
        return cls(
            None if moves is None else tuple(moves),
            Requirements(
                tuple(asked.get("fields", ())),
                tuple(
                    Condition(c["field"], c["op"], c["value"], pointer_to(c["field"]))
                    for c in asked.get("conditions", ())
                ),
                asked.get("lines", False),
                tuple(asked.get("contact_roles", ())),
                tuple(asked.get("tasks", ())),
            ),
            tuple(
                PlaybookRule(
                    task["key"],
                    task["subject"]["en"],
                    task["subject"]["zh"],
                    task["due_in_days"],
                    task["team_role"],
                    task["repeat"],
                )
                for task in stored.get("playbook", ())
            ),
        )


def stored_rules(stage: StageInput) -> dict[str, Any]:
    """The rules of a stage as they are kept."""
    return stage.model_dump(mode="json", include={"moves", "requirements", "playbook"})


def pointer_to(name: str) -> str:
    """Where a field stands in an opportunity's body."""
    return "/" + name.replace(".", "/")


async def rule_fields(uow: UnitOfWork) -> FieldSet:
    """Every field that a rule may look at, whoever acts: the rules are the company's.

    The values looked at may not be written yet, so custom ones are never asked of their index table.
    """
    custom = await uow.kernel.custom_fields.listing_fields(uow, "opportunity")
    declared = uow.kernel.registry.records["opportunity"].fields
    return FieldSet({**declared, **{n: replace(f, condition=None) for n, f in custom.items()}})


async def check_rules(uow: UnitOfWork, stages: Sequence[StageInput]) -> None:
    """Raises `Invalid` where requirements name fields or operators that there are not, or values that do not fit."""
    if not any(stage.requirements.fields or stage.requirements.conditions for stage in stages):
        return
    known = await rule_fields(uow)
    errors: list[FieldError] = []
    for number, stage in enumerate(stages):
        place = f"/stages/{number}/requirements"
        for at, name in enumerate(stage.requirements.fields):
            if name not in _FIELDS and not (name.startswith("custom.") and name in known.fields):
                detail = f"There is no field {name!r} that an opportunity could be given."
                errors.append(FieldError(f"{place}/fields/{at}", "unknown_field", detail))
        for at, asked in enumerate(stage.requirements.conditions):
            condition = Condition(asked.field, asked.op, asked.value)
            try:
                compile_filter([[condition]], known, uow.actor.tenant, uow.now, Bindings())
            except InvalidFilter as refusal:
                code = refusal.errors[0].code if refusal.errors else "invalid_filter"
                errors.append(FieldError(f"{place}/conditions/{at}", code, refusal.detail))
    if errors:
        raise Invalid(errors[0].detail, errors=errors)


async def rest_again(
    uow: UnitOfWork, pipeline_id: UUID, stage: str, former: int | None, days: int | None
) -> None:
    """A stage has another patience: the open opportunities in it rot by that, from when they were touched last."""
    await uow.fetch(_REST_AGAIN, uow.tenant_id, pipeline_id, stage, former, days, uow.now)


_REST_AGAIN = """
UPDATE opportunities.opportunities SET
  rots_at = coalesce(rots_at - make_interval(days => $4::int), updated_at) + make_interval(days => $5::int),
  is_rotting = false, rotting_since = NULL, version = version + is_rotting::int,
  updated_at = CASE WHEN is_rotting THEN $6::timestamptz ELSE updated_at END
WHERE tenant_id = $1 AND pipeline_id = $2 AND stage = $3 AND status = 'open' AND deleted_at IS NULL"""
