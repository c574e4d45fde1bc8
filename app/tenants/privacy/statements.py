"""The declarations of modules as statements about one request: holes filled, arguments in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.kernel.personal_data import Holding, Person, filled
from app.kernel.registry import Registry
from app.tenants.privacy.identifiers import Identifiers

FILES = "kernel.files"
_FOUND = (
    "SELECT f.row_id FROM tenants.privacy_rows f WHERE f.tenant_id = {tenant} AND f.request_id = {request}"
)


@dataclass
class Statements:
    """Builds SQL for one request. `sql(…)` may be called several times; `arguments` grow along."""

    registry: Registry
    tenant_id: UUID
    request_id: UUID
    identifiers: Identifiers
    now: datetime
    arguments: list[Any] = field(default_factory=list)
    _places: dict[str, str] = field(default_factory=dict)

    def bind(self, value: Any, type_name: str, name: str = "") -> str:
        """A placeholder for a value; the same `name` is the same placeholder."""
        if name and name in self._places:
            return self._places[name]
        self.arguments.append(value)
        place = f"${len(self.arguments)}::{type_name}"
        if name:
            self._places[name] = place
        return place

    def sql(self, text: str) -> str:
        """SQL with the holes of app/kernel/personal_data.py filled."""
        return filled(text, self._fill)

    def _fill(self, name: str) -> str:
        known = self._known(name)
        if known is not None:
            return known
        return f"({self._rows_of(name)})"

    def _known(self, name: str) -> str | None:
        who = self.identifiers
        match name:
            case "tenant":
                return self.bind(self.tenant_id, "uuid", name)
            case "request":
                return self.bind(self.request_id, "uuid", name)
            case "now":
                return self.bind(self.now, "timestamptz", name)
            case "pseudonym":
                return self.bind(pseudonym(self.request_id), "text", name)
            case "emails":
                return self.bind(who.email_keys, "text[]", name)
            case "phones":
                return self.bind(who.phone_keys, "text[]", name)
            case "sought":
                return self.bind(who.here, "text", name)
            case "addresses":
                return self.bind(who.addresses, "text", name)
            case "sought_everywhere":
                return self.bind(who.everywhere, "text", name)
        return None

    def _rows_of(self, name: str) -> str:
        found = filled(_FOUND, lambda hole: self._known(hole) or "")
        if name == "found":
            return found
        if name == "people":
            tables = [self.registry.records[person].table for person in self.registry.people]
            return f"{found} AND f.table_name = ANY({self.bind(tables, 'text[]', name)})"
        record = self.registry.records.get(name)
        table = record.table if record is not None else name
        if record is None and "." not in name:
            raise ValueError(f"nothing is called {name!r}")
        return f"{found} AND f.table_name = {self.bind(table, 'text', f'table:{table}')}"

    # -- finding -------------------------------------------------------------------------------------------

    def find(self, holding: Holding) -> str:
        """Note the rows of one declaration; answers those that were not known."""
        return self._note(
            holding.key,
            holding.table,
            f"SELECT t.id FROM {holding.table} t WHERE t.tenant_id = {{tenant}} AND ({holding.rows})",
        )

    def find_named(self, person: Person, column: str, target: Person) -> str:
        """Note what records of `person` name as the same person."""
        own, other = self._table(person), self._table(target)
        ids = (
            f"SELECT t.id FROM {other} t WHERE t.tenant_id = {{tenant}} AND ({target.condition}) AND t.id IN"
            f" (SELECT s.{column} FROM {own} s WHERE s.tenant_id = {{tenant}} AND s.id IN {{{own}}})"
        )
        return self._note(other, other, ids)

    def find_naming(self, person: Person, column: str, target: Person) -> str:
        """Note the records of `person` that name one found as the same person."""
        own, other = self._table(person), self._table(target)
        ids = f"SELECT t.id FROM {own} t WHERE t.tenant_id = {{tenant}} AND t.{column} IN {{{other}}}"
        return self._note(own, own, ids)

    def find_merged(self, person: Person) -> str:
        """Note the records that were merged into those found: they are in the table still."""
        table = self._table(person)
        return self._note(
            table,
            table,
            "SELECT d.record_id FROM kernel.merged_records d WHERE d.tenant_id = {tenant}"
            f" AND d.object = '{person.object}' AND d.survivor_id IN {{{table}}}",
        )

    def find_files(self, holding: Holding) -> str:
        """Note the uploaded files of rows that were found."""
        return self._note(
            FILES,
            FILES,
            f"SELECT DISTINCT t.{holding.file} FROM {holding.table} t WHERE t.tenant_id = {{tenant}}"
            f" AND t.{holding.file} IS NOT NULL AND t.id IN {{{holding.table}}}",
        )

    def spare_files(self, holding: Holding) -> str:
        """Leave alone the files that a row which stays has as well."""
        return self.sql(
            "DELETE FROM tenants.privacy_rows f WHERE f.tenant_id = {tenant} AND f.request_id = {request}"
            f" AND f.holding = '{FILES}' AND NOT f.done AND EXISTS (SELECT 1 FROM {holding.table} t"
            f" WHERE t.tenant_id = {{tenant}} AND t.{holding.file} = f.row_id"
            f" AND t.id NOT IN {{{holding.table}}})"
        )

    def _note(self, holding: str, table: str, ids: str) -> str:
        return self.sql(
            "INSERT INTO tenants.privacy_rows (tenant_id, request_id, holding, row_id, table_name)"
            f" SELECT {{tenant}}, {{request}}, '{holding}', i.id, '{table}' FROM ({ids}) i(id) WHERE i.id IS NOT NULL"
            " ON CONFLICT DO NOTHING RETURNING row_id"
        )

    def _table(self, person: Person) -> str:
        return self.registry.records[person.object].table

    # -- erasing -------------------------------------------------------------------------------------------

    def erase(self, holding: Holding, changes: Mapping[str, str], ids: list[UUID], answer: str) -> str:
        """Change rows as declared, or delete them."""
        where = f"t.tenant_id = {{tenant}} AND t.id = ANY({self.bind(ids, 'uuid[]')})"
        if holding.erase is None:
            return self.sql(f"DELETE FROM {holding.table} t WHERE {where} RETURNING {answer}")
        sets = ", ".join(f"{column} = {value}" for column, value in changes.items())
        return self.sql(f"UPDATE {holding.table} t SET {sets} WHERE {where} RETURNING {answer}")

    def erased(self, holding: Holding, changes: Mapping[str, str], ids: list[UUID], answer: str) -> str:
        """What rows hold afterwards, as JSON, for those that only their owner may change."""
        pairs = ", ".join(f"'{column}', {value}" for column, value in changes.items())
        return self.sql(
            f"SELECT jsonb_build_object({pairs}) AS change, {answer} FROM {holding.table} t"
            f" WHERE t.tenant_id = {{tenant}} AND t.id = ANY({self.bind(ids, 'uuid[]')}) ORDER BY t.id"
        )


def pseudonym(request_id: UUID) -> str:
    """What stands for the person afterwards: the same everywhere, and of no other request."""
    return f"Erased person {request_id.hex[-8:]}"
