"""The board: a pipeline's columns with their totals and first cards, and more cards column by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.listing import (
    Bindings,
    Field,
    FieldSet,
    Kind,
    Query,
    compile_filter,
    read_cursor,
    sign_cursor,
)
from app.kernel.money import MoneySum, money_dict
from app.kernel.record_reads import Selection, select_records
from app.kernel.records import to_json
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.reading.reach import Reach, amounts_hidden
from app.modules.opportunities.reading.sums import CONTRIBUTION, percent_of, whole
from app.modules.opportunities.services.opportunities import OPPORTUNITY
from app.modules.opportunities.services.pipelines import PipelineInfo, PipelineService, StageInfo, read_stage

_KEPT_FIELDS: Final = FieldSet(
    {name: Field(name, Kind.UUID, f"t.{name}", nullable=False) for name in ("owner_id", "team_id")}
)
_KEPT_OPS: Final = frozenset({"eq", "in"})
_IN_COLUMN: Final = "(t.status = 'open' OR t.stage = ANY({closed}::text[]))"


@dataclass
class _Total:
    """A column's figures while rows of its currencies come in."""

    count: int = 0
    unconverted: int = 0
    amounts: dict[str, int] | None = None
    weighted: dict[str, int] | None = None
    home: int = 0
    weighted_home: int = 0


class BoardService:
    """Two statements for any number of columns, besides the pipelines and the custom fields."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def board(self, wanted: str | None, query: Query) -> bytes:
        """The columns of a pipeline (by id or key; absent the default one). Raises `NotFound`, `InvalidFilter`."""
        pipeline = await PipelineService(self._uow).wanted(wanted)
        selection = await select_records(self._uow, OPPORTUNITY, query)
        pages = await self._cards(pipeline, selection, query)
        totals = await self._totals(pipeline, query)
        columns = [
            self._column(pipeline, stage, totals, pages, selection, query) for stage in pipeline.stages
        ]
        name = {"en": pipeline.name_en, "zh": pipeline.name_zh}
        return to_json({"pipeline_id": pipeline.id, "pipeline": name, "columns": columns})

    async def column(self, wanted: str | None, key: str, query: Query) -> bytes:
        """A page of one column. Raises `NotFound`, `InvalidFilter`, `InvalidCursor`."""
        pipeline = await PipelineService(self._uow).wanted(wanted)
        stage = pipeline.find(key)
        if stage is None:
            raise NotFound
        selection = await select_records(self._uow, OPPORTUNITY, query)
        where = self._in_column(pipeline, stage, selection.bind)
        if query.cursor is not None:
            name = _list_name(pipeline.id, stage.key)
            position = read_cursor(self._uow.kernel.secrets, self._uow.tenant_id, name, query)
            where += f" AND {selection.keyset.after(position, selection.bind)}"
        rows = await self._uow.fetch(selection.statement(query.limit + 1, where), *selection.bind.values)
        cards, cursor = self._page(pipeline, stage, rows, selection, query)
        page = {"data": cards, "next_cursor": cursor, "has_more": cursor is not None}
        return to_json(page | {"total": None, "total_is_estimate": None})

    @staticmethod
    def _in_column(pipeline: PipelineInfo, stage: StageInfo, bind: Bindings) -> str:
        place = f" AND t.pipeline_id = {bind(pipeline.id)} AND t.stage = {bind(stage.key)}"
        # What was lost keeps its last stage; it is in nobody's way there.
        return place if stage.is_closed else f"{place} AND t.status = 'open'"

    async def _cards(
        self, pipeline: PipelineInfo, selection: Selection, query: Query
    ) -> dict[str, list[Sequence[Any]]]:
        """The first cards of every column, one more than asked for where there are more."""
        parts = []
        for number, stage in enumerate(pipeline.stages):
            page = selection.statement(
                query.limit + 1, self._in_column(pipeline, stage, selection.bind)
            ).replace("SELECT ", f"SELECT {number} AS stage_number, ", 1)
            parts.append(f"({page})")
        rows = await self._uow.fetch(" UNION ALL ".join(parts), *selection.bind.values)
        found: dict[str, list[Sequence[Any]]] = {stage.key: [] for stage in pipeline.stages}
        for row in rows:
            found[pipeline.stages[row[0]].key].append(tuple(row)[1:])
        return found

    async def _totals(self, pipeline: PipelineInfo, query: Query) -> dict[str, _Total]:
        """Totals by stage: from the kept sums where owners and teams are all that narrows, else counted out."""
        source, values = await self._source(pipeline, query)
        bind = Bindings(*values)
        home = bind(self._uow.actor.tenant.currency)
        rows = await self._uow.fetch(
            "SELECT stage, currency, sum(n) AS n, sum(amount) AS amount, sum(weighted) AS weighted,"
            f" sum(amount_home) FILTER (WHERE home_currency = {home}) AS home,"
            f" sum(weighted_home) FILTER (WHERE home_currency = {home}) AS weighted_home,"
            f" sum(missing) + coalesce(sum(n) FILTER (WHERE home_currency NOT IN ('', {home})), 0) AS missing"
            f" FROM ({source}) r GROUP BY stage, currency",
            *bind.values,
        )
        found: dict[str, _Total] = {}
        for row in rows:
            total = found.setdefault(row["stage"], _Total(amounts={}, weighted={}))
            total.count += whole(row["n"])
            total.unconverted += whole(row["missing"])
            total.home += whole(row["home"])
            total.weighted_home += whole(row["weighted_home"])
            if row["currency"] and row["n"] and total.amounts is not None and total.weighted is not None:
                total.amounts[row["currency"]] = whole(row["amount"])
                total.weighted[row["currency"]] = whole(row["weighted"])
        return found

    async def _source(self, pipeline: PipelineInfo, query: Query) -> tuple[str, list[Any]]:
        closed = [stage.key for stage in pipeline.stages if stage.is_closed]
        if (
            not query.text
            and len(query.groups) <= 1
            and all(
                condition.field in _KEPT_FIELDS.fields and condition.op in _KEPT_OPS
                for group in query.groups
                for condition in group
            )
        ):
            bind = Bindings(self._uow.tenant_id)
            where = f"t.pipeline_id = {bind(pipeline.id)} AND {_IN_COLUMN.format(closed=bind(closed))}"
            tenant, now = self._uow.actor.tenant, self._uow.now
            condition = compile_filter(query.groups, _KEPT_FIELDS, tenant, now, bind)
            where += f" AND {condition}" if condition else ""
            return Reach(self._uow, bind).sums(where, where), bind.values
        selection = await select_records(self._uow, OPPORTUNITY, query)
        bind = selection.bind
        where = f"t.pipeline_id = {bind(pipeline.id)} AND {_IN_COLUMN.format(closed=bind(closed))}"
        return (
            f"SELECT {CONTRIBUTION} FROM {OPPORTUNITY.view} t WHERE {selection.where} AND {where}",
            bind.values,
        )

    def _column(
        self,
        pipeline: PipelineInfo,
        stage: StageInfo,
        totals: dict[str, _Total],
        pages: dict[str, list[Sequence[Any]]],
        selection: Selection,
        query: Query,
    ) -> dict[str, Any]:
        cards, cursor = self._page(pipeline, stage, pages[stage.key], selection, query)
        return {
            "stage": read_stage(stage).model_dump(mode="json"),
            "totals": self._worth(totals.get(stage.key) or _Total(amounts={}, weighted={})),
            "cards": cards,
            "next_cursor": cursor,
            "has_more": cursor is not None,
        }

    def _worth(self, total: _Total) -> dict[str, Any]:
        hidden = amounts_hidden(self._uow)
        home = self._uow.actor.tenant.currency
        amounts = sorted((total.amounts or {}).items())
        weighted = sorted((total.weighted or {}).items())
        return {
            "count": total.count,
            "amount": None if hidden else [money_dict(minor, code) for code, minor in amounts],
            "weighted": None if hidden else [money_dict(percent_of(minor), code) for code, minor in weighted],
            "amount_home": None if hidden else MoneySum(total.home, home).to_wire(),
            "weighted_home": None if hidden else MoneySum(percent_of(total.weighted_home), home).to_wire(),
            "unconverted": total.unconverted,
        }

    def _page(
        self,
        pipeline: PipelineInfo,
        stage: StageInfo,
        rows: Sequence[Any],
        selection: Selection,
        query: Query,
    ) -> tuple[list[dict[str, Any]], str | None]:
        cards = [selection.plan.render(row) for row in rows[: query.limit]]
        if len(rows) <= query.limit:
            return cards, None
        name = _list_name(pipeline.id, stage.key)
        bound = replace(query, cursor=None)
        position = rows[query.limit - 1][-1]
        return cards, sign_cursor(self._uow.kernel.secrets, self._uow.tenant_id, name, bound, position)


def _list_name(pipeline_id: UUID, stage: str) -> str:
    return f"board:{pipeline_id}:{stage}"
