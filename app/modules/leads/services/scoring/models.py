"""Scoring models: made, changed, put into use; and the one in use, as every write asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic_core import PydanticCustomError

from app.kernel.conditions import check_tree, groups_of
from app.kernel.errors import Invalid, InvalidFilter, require_version
from app.kernel.memory import STALE_SECONDS, Remembered
from app.kernel.records import RecordType
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import ScoringModelActive
from app.modules.leads.models import ScoringModel
from app.modules.leads.schemas.scoring import (
    ScoringModelCreate,
    ScoringModelDraft,
    ScoringModelUpdate,
    require_range,
)
from app.modules.leads.services.scoring.engine import BehaviourRule, FitRule, Model

JOB = "leads.score"
MOST_MODELS = 20
SETTLED = timedelta(seconds=3 * STALE_SECONDS)  # until then some process may score by what it remembers
_MAY_BE_NULL = frozenset({"name_zh", "fit_cap", "behaviour_cap"})


def model_of(row: ScoringModel) -> Model:
    """A stored model, ready to compute."""
    return _model(row.__dict__, row.id, row.version)


def model_of_draft(draft: ScoringModelDraft, uow: UnitOfWork) -> Model:
    """A model that is not stored."""
    values = draft.model_dump(mode="json", by_alias=True)
    values |= {"name_en": "Draft", "name_zh": "草稿", "updated_at": uow.now}
    return _model(values, UUID(int=0), 0)


def _model(values: Mapping[str, Any], id: UUID, version: int) -> Model:
    return Model(
        id=id,
        version=version,
        name_en=values["name_en"],
        name_zh=values["name_zh"],
        fit_rules=tuple(
            FitRule(r["name_en"], r["name_zh"], r["points"], groups_of(r["filter"], f"/fit_rules/{n}/filter"))
            for n, r in enumerate(values["fit_rules"])
        ),
        behaviour_rules=tuple(
            BehaviourRule(
                r["name_en"],
                r["name_zh"],
                r["points"],
                r["behaviour"],
                r["detail"],
                r["half_life_days"],
                r["cap"],
            )
            for r in values["behaviour_rules"]
        ),
        fit_cap=values["fit_cap"],
        behaviour_cap=values["behaviour_cap"],
        min_score=values["min_score"],
        max_score=values["max_score"],
        grades=tuple((grade["grade"], grade["from_score"]) for grade in values["grades"]),
        updated_at=values["updated_at"],
    )


async def read_active(uow: UnitOfWork) -> Model | None:
    """The model in use, from the database."""
    row = await uow.first(uow.select(ScoringModel).where(ScoringModel.is_active))
    return model_of(row) if row else None


ACTIVE: Remembered[Model | None] = Remembered("leads.scoring_models", read_active, None)
"""The model in use, as this process remembers it."""


class ScoringModels:
    """The tenant's models. Whatever changes the scores starts the job that computes them again."""

    def __init__(self, uow: UnitOfWork, record: RecordType[Any]) -> None:
        self._uow = uow
        self._record = record

    async def list(self) -> list[ScoringModel]:
        """All models, the oldest first."""
        return await self._uow.all(self._uow.select(ScoringModel).order_by(ScoringModel.id))

    async def get(self, id: UUID) -> ScoringModel:
        """Raises `NotFound`."""
        return await self._uow.get(ScoringModel, id)

    async def create(self, body: ScoringModelCreate) -> ScoringModel:
        """A new model, not in use yet. Raises `Invalid` for conditions that do not compile."""
        values = body.model_dump(mode="json", by_alias=True)
        await self.check(model_of_draft(body, self._uow))
        if len(await self.list()) >= MOST_MODELS:
            raise Invalid.at("/name_en", "too_many_models", f"A company has at most {MOST_MODELS} models.")
        return await self._uow.insert(ScoringModel, audit="scoring_model", is_active=False, **values)

    async def update(self, id: UUID, body: ScoringModelUpdate, *, expected_version: int) -> ScoringModel:
        """Change a model by merge patch. Raises also `NotFound`, `StaleVersion`."""
        row = await self._locked(id, expected_version)
        changes = body.model_dump(mode="json", by_alias=True, include=body.model_fields_set)
        for name, value in changes.items():
            if value is None and name not in _MAY_BE_NULL:
                raise Invalid.at(f"/{name}", "required", f"{name} may not be null.")
        planned = {**row.__dict__, **changes}
        try:
            require_range(
                planned["min_score"], planned["max_score"], [g["from_score"] for g in planned["grades"]]
            )
        except PydanticCustomError as error:
            raise Invalid.at("/grades", error.type, error.message()) from None
        await self.check(_model(planned, row.id, row.version))
        after = await self._uow.update(row, audit="scoring_model", **changes)
        if row.is_active and after is not row:
            self._rescore()
        return after

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `StaleVersion`, `ScoringModelActive`."""
        row = await self._locked(id, expected_version)
        if row.is_active:
            raise ScoringModelActive("Deactivate the model first, or activate another one.")
        await self._uow.delete(row, audit="scoring_model")

    async def activate(self, id: UUID, *, expected_version: int) -> ScoringModel:
        """Score by this model from here on, and by no other."""
        # All models are locked, in one order, so that of two activations one follows the other.
        rows = await self._uow.all(self._uow.select(ScoringModel).order_by(ScoringModel.id).with_for_update())
        row = await self._locked(id, expected_version)
        for other in rows:
            if other.is_active and other.id != id:
                await self._uow.update(other, audit="scoring_model", action="deactivated", is_active=False)
        return await self._switch(row, is_active=True)

    async def deactivate(self, id: UUID, *, expected_version: int) -> ScoringModel:
        """Score by no model: scores stay, become enterable, and lose their grades."""
        return await self._switch(await self._locked(id, expected_version), is_active=False)

    async def _switch(self, row: ScoringModel, *, is_active: bool) -> ScoringModel:
        if row.is_active == is_active:
            return row
        action = "activated" if is_active else "deactivated"
        after = await self._uow.update(row, audit="scoring_model", action=action, is_active=is_active)
        self._rescore()
        return after

    def _rescore(self) -> None:
        """Score all leads: at once, and again when every process knows the model that is in use."""
        self._uow.kernel.memory.forget(ACTIVE, self._uow.tenant_id)
        self._uow.enqueue(JOB, {})
        self._uow.enqueue(JOB, {}, run_at=self._uow.now + SETTLED)

    async def check(self, model: Model) -> None:
        """That the conditions of all rules compile. Raises `Invalid` at their places."""
        for rule in model.fit_rules:
            try:
                await check_tree(self._uow, self._record, rule.groups)
            except InvalidFilter as problem:
                raise Invalid(problem.detail, errors=problem.errors) from None

    async def _locked(self, id: UUID, expected_version: int) -> ScoringModel:
        row = await self._uow.get(ScoringModel, id, lock="update")
        require_version(row.version, expected=expected_version)
        return row
