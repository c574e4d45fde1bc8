"""What a module may say about imported rows: the seam between the import job and a record type's service.

`ImportRules` is a base of `RecordService`. Its defaults run the single-row hooks, so a module without rules of
its own needs nothing; one whose rules ask the database overrides `prepare_import` and asks once per chunk.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple
from uuid import UUID

from app.kernel.errors import FieldError, Problem
from app.kernel.records import RecordService
from app.kernel.statements import BETWEEN_TOKENS
from app.kernel.tabular import Fault

if TYPE_CHECKING:
    from app.kernel.models import RecordTable
    from app.kernel.records import RecordType
    from app.kernel.uow import UnitOfWork

DuplicateRule = Literal["block", "warn", "allow"]


@dataclass(frozen=True, slots=True)
class ImportColumn:
    """A column that is no field of the record but helps to find one: an account's external id, a source's name.

    Its text arrives in `ImportRow.extras[name]`; the module turns it into columns in `prepare_import`.
    """

    name: str
    labels: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()


Form = tuple[str, str]
"""(reason, compared value): one of the forms by which a row is compared with others."""


class Earlier:
    """The rows before, which a dry run has taken back: their last `MOST` forms and keys, each with its line."""

    MOST: ClassVar = 50_000

    def __init__(self) -> None:
        self.lines: OrderedDict[Form, int] = OrderedDict()

    def forget(self, lines: Collection[int], *, since: int) -> None:
        """Rows since some line that were left out after all are in nobody's way."""
        recent = takewhile(lambda form: self.lines[form] >= since, reversed(self.lines))
        for form in [form for form in recent if self.lines[form] in lines]:
            del self.lines[form]

    def trim(self) -> None:
        """Forget the first ones, so that memory stays flat."""
        while len(self.lines) > self.MOST:
            self.lines.popitem(last=False)


class Calm:
    """When the reader of an import may work: while the writer waits for the server.

    Two threads that compute take the interpreter from each other, and the server would wait for both.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def begin(self) -> None:
        """Let the reader work until `end`."""
        self._event.set()

    def end(self) -> None:
        """Stop the reader behind the row that it has in hand."""
        self._event.clear()

    def wait(self) -> None:
        """Block the reader's thread until it may work."""
        if not self._event.is_set():  # a sixth of what it takes to wait for nothing
            self._event.wait()

    @contextmanager
    def during(self) -> Iterator[None]:
        """Calm for a statement of the server's; it ends with the block."""
        self.begin()
        try:
            yield
        finally:
            self.end()


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the person who imports has chosen, and what one run hands to its rules.

    `duplicate_rule` None means the record type's own. A dry run keeps in `earlier` what the table would hold by now.
    Within `calm` the run's reader works on.
    """

    mode: Literal["create", "update", "upsert"]
    duplicate_rule: DuplicateRule | None = None
    dry_run: bool = False
    earlier: Earlier = field(default_factory=Earlier)
    calm: Calm = field(default_factory=Calm)


class Told(NamedTuple):
    """What audit log and event say of a new row, both as JSON, and the columns that they were made of."""

    columns: tuple[Any, ...]
    audit: str
    event: str


@dataclass(slots=True)
class ImportRow:
    """One row on its way in.

    `values` are columns, as the table has them (money in minor units); `given` are the fields that the file or
    the defaults name. `existing` is the record that an update changes, `id` the one that a row gets if it becomes a
    new record; `completed` says that it has all columns that need no database.
    """

    number: int
    line: int
    cells: list[str | None]
    values: dict[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    extras: dict[str, str] = field(default_factory=dict)
    custom: dict[str, Any] | None = None
    key: Any = None  # what it is found by, where the import changes records
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    missing: list[Fault] = field(default_factory=list)  # faults only if the row turns out to be a new record
    existing: Any = None
    id: UUID | None = None
    indexed: Any = None
    tokens: tuple[tuple[Any, ...], str] | None = None
    compared: tuple[list[Any], list[Form], dict[str, Any]] | None = None
    completed: bool = False
    told: Told | None = None

    def search_tokens(self, record: RecordType[Any]) -> str:
        """The search tokens of the values, made once as long as the searched columns stay the same.

        Joined, as they travel: dozens of small texts for each row of a chunk are megabytes.
        """
        values = self.values
        searched = tuple([values.get(name) for name in record.search.columns])
        if self.tokens is None or self.tokens[0] != searched:
            self.tokens = (searched, BETWEEN_TOKENS.join(record.search.tokens(values)))
        return self.tokens[1]

    def refuse(self, field_name: str | None, code: str, reason: str) -> None:
        """Leave this row out, saying why; `field_name` is the field or import column at fault."""
        self.faults.append(Fault(code, reason, field_name))

    def warn(self, field_name: str | None, code: str, reason: str) -> None:
        """Take this row, but say something about it."""
        self.warnings.append(Fault(code, reason, field_name))

    def refuse_by(self, problem: Problem) -> None:
        """Leave this row out for what a rule raised."""
        errors: Sequence[FieldError] = problem.errors
        if not errors:
            place = problem.members.get("pointer")
            self.refuse(_field_at(place) if place else None, problem.code, problem.detail)
        for error in errors:
            self.refuse(_field_at(error.pointer), error.code, error.detail)


def _field_at(pointer: str) -> str | None:
    """The field that a pointer into a record names."""
    return pointer.lstrip("/").replace("/", ".") or None


class ImportRules:
    """Set-based hooks of the import; the defaults call `before_create`, `before_update` and `after_create`."""

    import_columns: ClassVar[tuple[ImportColumn, ...]] = ()
    uow: UnitOfWork

    def derive_columns(self, values: dict[str, Any]) -> None:
        """Complete a new row's columns by what follows from them alone, before `prepare_import`.

        Override it where something follows: then rows are made ready to be written while the server works on
        those before. So it runs in a thread: it asks nothing, and changes nothing but `values`. Raises what a single
        row would be refused by.
        """

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:  # noqa: ARG002
        """Check and complete the columns of new rows; `row.refuse` leaves one out, `row.warn` remarks on it.

        Override to find references and duplicates for the whole chunk in one statement each.
        """
        before_create = own_hook(self, "before_create")
        if before_create is None:
            return
        for row in rows:
            try:
                await before_create(row.values)
            except Problem as problem:
                row.refuse_by(problem)

    async def prepare_import_updates(
        self,
        rows: Sequence[ImportRow],
        options: ImportOptions,  # noqa: ARG002
    ) -> None:
        """Check and complete `row.values`, the changes to `row.existing`."""
        before_update = own_hook(self, "before_update")
        if before_update is None:
            return
        for row in rows:
            try:
                await before_update(row.existing, row.values)
            except Problem as problem:
                row.refuse_by(problem)

    async def complete_import_updates(self, rows: Sequence[ImportRow]) -> None:
        """Add to changes that are checked, custom fields included: what is computed from the whole record."""

    async def after_import_updates(self, rows: Sequence[ImportRow]) -> None:
        """React to changed records in the same transaction; `row.values` are the columns that changed."""

    async def before_restore(self, row: Any, before: Mapping[str, Any]) -> None:
        """The undo puts these columns back: refuse by raising, and the record stays as the import left it."""

    async def after_import(self, created: Sequence[RecordTable]) -> None:
        """React to the new rows in the same transaction."""
        after_create = own_hook(self, "after_create")
        if after_create is not None:
            for row in created:
                await after_create(row)


def own_hook(service: object, name: str, base: type = RecordService) -> Any:
    """The hook if the module overrides that of `base`, which does nothing: calling it per row is not free."""
    found = getattr(type(service), name, None)
    return None if found in (None, getattr(base, name, None)) else getattr(service, name)


def rules_of(service: Any) -> Any:
    """The service itself where it has the hooks, else the defaults bound to it."""
    if isinstance(service, ImportRules):
        return service
    return _Defaults(service)


class _Defaults(ImportRules):
    """The default hooks around a service that is no `ImportRules` itself."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self.uow = service.uow

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)
