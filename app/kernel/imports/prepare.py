"""The part of an import that needs no database: cells to values, values through the schema, values to columns.

It runs in a thread while the chunk before is being written. One compiled validator per record type does the
checking; what is wrong with a row stays with that row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from app.kernel.currency_words import code_in, has_code, settled
from app.kernel.custom_fields.values import CURRENCY, CUSTOM, is_currency
from app.kernel.errors import Problem
from app.kernel.ids import new_id
from app.kernel.imports.new_rows import NewRows
from app.kernel.imports.rules import ImportRow
from app.kernel.imports.targets import Plan
from app.kernel.records import RecordService, RecordType
from app.kernel.tabular import Fault, Row


class Preparer:
    """Prepares rows under one plan. `mode` decides what a missing field means."""

    def __init__(
        self,
        record: RecordType[Any],
        plan: Plan,
        mode: str,
        *,
        service: RecordService[Any],
        new_rows: NewRows,
    ) -> None:
        self.plan = plan
        self._record = record
        self.mode = mode
        self._service = service
        self._new_rows = new_rows
        schema: type[BaseModel] = record.update if mode == "update" else record.create
        self._create = schema.__pydantic_validator__.validate_python
        self._patch = record.update.__pydantic_validator__.validate_python
        self._static: dict[str, Any] = {}
        self._static_custom: dict[str, Any] = {}
        self._currencies: dict[str, str] = {}
        for name, value in plan.defaults.items():
            if is_currency(name):
                self._currencies[name] = value
            elif name.startswith(CUSTOM):
                self._static_custom[name.removeprefix(CUSTOM)] = value
            elif name in plan.money.values() and name not in record.create.model_fields:
                self._currencies[name] = value
            else:
                self._static[name] = value

    def begin(self, now: datetime) -> None:
        """The rows to come are of this moment."""
        self._service.uow.now = now

    def prepare(self, row: Row) -> ImportRow:
        """A row with its columns, or with the reasons why not. Column names in faults are the file's."""
        made = ImportRow(row.number, row.line, row.values)
        if row.fault is not None:
            made.faults.append(row.fault)
            return made
        given, currencies = self._read(made)
        if made.faults:
            return made
        self._money(made, given, currencies)
        if made.faults:
            return made
        self._validate(made, given)
        return made

    def _read(self, row: ImportRow) -> tuple[dict[str, Any], dict[str, str]]:
        """The cells as the schema takes them; what cannot be read is a fault of the row."""
        given: dict[str, Any] = dict(self._static)
        custom: dict[str, Any] = dict(self._static_custom)
        currencies: dict[str, str] = {}
        cells = row.cells
        for step in self.plan.steps:
            value: Any = cells[step.index]
            if value is None:
                continue
            target = step.target
            name = target.name
            if step.read is not None:
                try:
                    value = step.read(value)
                except ValueError as error:
                    row.faults.append(Fault("unreadable", str(error), self.plan.columns[name]))
                    continue
            if target.sort == "field":
                if name == "owner_id":
                    row.extras[name] = value
                else:
                    given[name] = value
            elif target.sort == "custom":
                custom[name.removeprefix(CUSTOM)] = value
            elif target.sort == "currency":
                otherwise = self._currencies.get(name) or self.plan.currency
                if code := code_in(value, otherwise):  # a blank one leaves the default
                    currencies[name] = code
            else:
                row.extras[name] = value
        if custom:
            self._name_currencies(custom, currencies)
        row.custom = custom
        return given, currencies

    def _name_currencies(self, custom: dict[str, Any], currencies: Mapping[str, str]) -> None:
        """Put the currencies of columns beside custom amounts into their cells, as the fields read them.

        Those of the defaults only where a cell names none itself.
        """
        for name, code in {**self._currencies, **currencies}.items():
            if not is_currency(name):
                continue
            key = name.removeprefix(CUSTOM).removesuffix(CURRENCY)
            cell = custom.get(key)
            if isinstance(cell, str) and (name in currencies or not has_code(cell.partition(" ")[2])):
                custom[key] = f"{code} {cell}"

    def _money(self, row: ImportRow, given: dict[str, Any], currencies: Mapping[str, str]) -> None:
        for name, currency in self.plan.money.items():
            cell = given.get(name)
            if not isinstance(cell, str):
                continue
            amount, _, named = cell.partition(" ")
            otherwise = self._currencies.get(currency) or self.plan.currency
            try:
                code = settled(named, currencies.get(currency, ""), otherwise)
            except ValueError as error:
                row.faults.append(Fault("other_currency", str(error), self.plan.column_of(name)))
            else:
                given[name] = {"amount": amount, "currency": code}

    def _validate(self, row: ImportRow, given: dict[str, Any]) -> None:
        try:
            body = self._create(given)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            if self.mode != "upsert" or any(item["type"] != "missing" for item in found):
                row.faults += [self._fault(item)._replace(column=self._column(item)) for item in found]
                return
            # Enough for a change of an existing record; whether it is one is not known yet.
            row.missing = [self._fault(item) for item in found]
            body = self._patch(given)
        self._columns(row, body)

    def _columns(self, row: ImportRow, body: BaseModel) -> None:
        given = body.model_fields_set
        fields = body.__dict__
        if self.mode == "update" or row.missing:
            fields = {name: fields[name] for name in given}
        row.given = frozenset(given)
        try:
            row.values = self._service._columns(fields)  # noqa: SLF001 - the one place that knows wire and columns
        except Problem as problem:
            row.refuse_by(problem)
        else:
            if self.mode != "update":
                row.id = new_id()
                row.search_tokens(self._record)
                if self.mode == "create":
                    self._new_rows.guess(row)
                    row.faults = [
                        fault._replace(column=self.plan.column_of(fault.column)) for fault in row.faults
                    ]

    def _column(self, error: Mapping[str, Any]) -> str | None:
        return self.plan.column_of(_field(error))

    @staticmethod
    def _fault(error: Mapping[str, Any]) -> Fault:
        code = "required" if error["type"] == "missing" else str(error["type"])
        return Fault(code, str(error["msg"]).removeprefix("Value error, "), _field(error))


def _field(error: Mapping[str, Any]) -> str | None:
    location: Sequence[Any] = error["loc"]
    return str(location[0]) if location else None
