"""Finding all that is held about a person: the records that are them, and the rows that modules declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from app.kernel.contact import EmailInvalid, normalise_email, to_e164
from app.kernel.errors import FieldError, Invalid
from app.kernel.personal_data import Holding, Person
from app.kernel.uow import UnitOfWork
from app.tenants.privacy.identifiers import Identifiers
from app.tenants.privacy.statements import FILES, Statements

FOUND_AT_MOST: Final = 50
ROUNDS: Final = 12


@dataclass(frozen=True, slots=True)
class Subject:
    """One record that is the person."""

    object: str
    record_id: UUID


@dataclass(frozen=True, slots=True)
class Match:
    """A record that has the same address, and by what it was found."""

    object: str
    record_id: UUID
    name: str
    email: str | None
    phone: str | None
    same: tuple[str, ...]


class Finder:
    """What is held about one person, as far as modules have declared it."""

    def __init__(self, uow: UnitOfWork, request_id: UUID) -> None:
        self._uow = uow
        self._id = request_id
        self._registry = uow.kernel.registry

    @property
    def holdings(self) -> Sequence[Holding]:
        """All declarations, in the order of modules."""
        return self._registry.personal_data

    def statements(self, who: Identifiers) -> Statements:
        """To build statements about this request with."""
        return Statements(self._registry, self._uow.tenant_id, self._id, who, self._uow.now)

    async def people(self, subjects: Iterable[Subject], *, or_gone: bool = False) -> Identifiers:
        """Note the records that are the person, and what they are known by.

        With `or_gone` a record that no table has any more, or has not yet in a restored backup, is nobody to note.
        Raises: Invalid.
        """
        for number, subject in enumerate(subjects):
            if not await self._subject(subject) and not (or_gone and await self._gone(subject)):
                raise Invalid(
                    errors=[FieldError(f"/subjects/{number}", "not_a_person", "There is no such person.")]
                )
        new = 1
        while new:
            new = 0
            for person in self._registry.people.values():
                new += await self._same(person)
        return await self._known_by()

    async def rows(self, who: Identifiers) -> int:
        """Note every row that is about them, through all modules; how many were not noted before."""
        total = 0
        for _ in range(ROUNDS):
            new = 0
            for holding in self.holdings:
                statements = self.statements(who)
                new += len(await self._uow.fetch(statements.find(holding), *statements.arguments))
            total += new
            if not new:
                break
        return total + await self._files(who)

    async def _files(self, who: Identifiers) -> int:
        total = 0
        with_files = [holding for holding in self.holdings if holding.file is not None]
        for holding in with_files:
            statements = self.statements(who)
            total += len(await self._uow.fetch(statements.find_files(holding), *statements.arguments))
        for holding in {holding.table: holding for holding in with_files}.values():
            statements = self.statements(who)
            await self._uow.fetch(statements.spare_files(holding), *statements.arguments)
        return total

    async def counts(self) -> list[dict[str, Any]]:
        """How many rows there are per table, what becomes of them and why."""
        found = await self._uow.fetch(
            "SELECT holding, count(*) AS rows FROM tenants.privacy_rows WHERE tenant_id = $1 AND request_id = $2"
            " GROUP BY holding",
            self._uow.tenant_id,
            self._id,
        )
        rows = {row["holding"]: row["rows"] for row in found}
        told = [_told(holding, rows[holding.key]) for holding in self.holdings if holding.key in rows]
        if FILES in rows:
            told.append(
                {"module": "kernel", "table": FILES, "rows": rows[FILES], "action": "deleted", "why": None}
            )
        return told

    async def forget(self) -> None:
        """Drop what was noted."""
        await self._uow.fetch(
            "DELETE FROM tenants.privacy_rows WHERE tenant_id = $1 AND request_id = $2",
            self._uow.tenant_id,
            self._id,
        )

    async def found(self) -> set[Subject]:
        """The records that are the person."""
        rows = await self._uow.fetch(
            "SELECT DISTINCT table_name, row_id FROM tenants.privacy_rows WHERE tenant_id = $1 AND request_id = $2",
            self._uow.tenant_id,
            self._id,
        )
        objects = {self._registry.records[name].table: name for name in self._registry.people}
        return {Subject(objects[r["table_name"]], r["row_id"]) for r in rows if r["table_name"] in objects}

    async def _subject(self, subject: Subject) -> bool:
        """Note a record, if it is a person."""
        person = self._registry.people.get(subject.object)
        found: Sequence[Any] = ()
        if person is not None:
            table = self._registry.records[person.object].table
            found = await self._uow.fetch(
                "INSERT INTO tenants.privacy_rows (tenant_id, request_id, holding, row_id, table_name)"
                f" SELECT t.tenant_id, $2, '{table}', t.id, '{table}' FROM {table} t"
                f" WHERE t.tenant_id = $1 AND t.id = $3 AND ({person.condition})"
                " ON CONFLICT (tenant_id, request_id, holding, row_id) DO UPDATE SET done = privacy_rows.done"
                " RETURNING row_id",
                self._uow.tenant_id,
                self._id,
                subject.record_id,
            )
        return bool(found)

    async def _gone(self, subject: Subject) -> bool:
        record = self._registry.records.get(subject.object)
        if record is None:
            return False
        row = await self._uow.fetchrow(
            f"SELECT true FROM {record.table} WHERE tenant_id = $1 AND id = $2",
            self._uow.tenant_id,
            subject.record_id,
        )
        return row is None

    async def _note(self, build: Callable[[Statements], str]) -> int:
        statements = self.statements(Identifiers())
        sql = build(statements)
        return len(await self._uow.fetch(sql, *statements.arguments))

    async def _same(self, person: Person) -> int:
        """What one kind of record knows of others that are the same person, in both directions."""
        count = await self._note(partial(Statements.find_merged, person=person))
        for column, name in person.same.items():
            target = self._registry.people.get(name)
            if target is None:
                continue
            count += await self._note(
                partial(Statements.find_named, person=person, column=column, target=target)
            )
            count += await self._note(
                partial(Statements.find_naming, person=person, column=column, target=target)
            )
        return count

    async def _known_by(self) -> Identifiers:
        who = Identifiers()
        for person in self._registry.people.values():
            table = self._registry.records[person.object].table
            statements = self.statements(who)
            rows = await self._uow.fetch(
                statements.sql(
                    f"SELECT {', '.join((*person.names, *person.emails, *person.phones))} FROM {table} t"
                    f" WHERE t.tenant_id = {{tenant}} AND t.id IN {{{table}}}"
                ),
                *statements.arguments,
            )
            for row in rows:
                who |= Identifiers.of(
                    _texts(row, person.names), _texts(row, person.emails), _texts(row, person.phones)
                )
        return who


async def matching(uow: UnitOfWork, who: Identifiers, but: Iterable[Subject] = ()) -> list[Match]:
    """People with one of these addresses or numbers, other than the records named."""
    left_out = set(but)
    found: list[Match] = []
    region = uow.actor.tenant.country
    phones = sorted({*who.phone_keys, *(k for p in who.phones if (k := to_e164(p, region)))})
    if not who.email_keys and not phones:
        return []
    for person in uow.kernel.registry.people.values():
        record = uow.kernel.registry.records[person.object]
        # The compared forms have indexes; further addresses of a record are arrays, looked at where it has them.
        more = "".join(
            f" OR t.{column} && $2::text[]" for column in person.emails if column.endswith("s")
        ) + "".join(f" OR t.{column} && $3::text[]" for column in person.phones if column.endswith("s"))
        rows = await uow.fetch(
            f"SELECT t.id, t.{person.names[0]} AS name, t.email, t.phone,"
            " t.phone_key = ANY($3::text[]) AS by_phone, t.email_key = ANY($2::text[]) AS by_email"
            f" FROM {record.table} t WHERE t.tenant_id = $1 AND t.deleted_at IS NULL AND ({person.condition})"
            f" AND (t.email_key = ANY($2::text[]) OR t.phone_key = ANY($3::text[]){more})"
            f" ORDER BY t.id LIMIT {FOUND_AT_MOST}",
            uow.tenant_id,
            who.email_keys,
            phones,
        )
        found += [
            Match(person.object, row["id"], row["name"], row["email"], row["phone"], _by(row))
            for row in rows
            if Subject(person.object, row["id"]) not in left_out
        ]
    return found[:FOUND_AT_MOST]


def asked_for(email: str | None, phone: str | None, region: str) -> Identifiers:
    """What somebody who writes in says of themselves."""
    emails, phones = set(), set()
    if email:
        try:
            emails.add(normalise_email(email))
        except EmailInvalid:
            emails.add(email)
    if phone:
        phones |= {phone, to_e164(phone, region) or phone}
    return Identifiers(frozenset(), frozenset(emails), frozenset(phones))


def _by(row: Any) -> tuple[str, ...]:
    by = tuple(name for name in ("email", "phone") if row[f"by_{name}"])
    return by or ("further_address",)


def _texts(row: Any, columns: Iterable[str]) -> list[str]:
    texts: list[str] = []
    for column in columns:
        value = row[column]
        texts += [value] if isinstance(value, str) else [str(one) for one in value or ()]
    return texts


def _told(holding: Holding, rows: int) -> dict[str, Any]:
    return {
        "module": holding.table.partition(".")[0],
        "table": holding.table,
        "rows": rows,
        "action": holding.action,
        "why": holding.why or None,
    }
