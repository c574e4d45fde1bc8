"""What modules say they hold about a person, so that somebody can be told all of it, or be forgotten.

A module declares, per table, which rows are about a person and what is left of them when that person is erased. The
declarations are SQL about the module's own tables; who is meant by it is filled in by whoever runs it
(app/tenants/privacy). A column that looks personal and is not declared fails tests/architecture.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

PSEUDONYM: Final = "{pseudonym}"
"""What stands for the person where something has to stand: the same within one erasure."""
NOTHING: Final = "NULL"
NO_LIST: Final = "'{}'"
NO_FIELDS: Final = "'{}'::jsonb"
NO_ROWS: Final = "'[]'::jsonb"
MOMENT: Final = "{now}"
RECORD_TEXTS: Final[Mapping[str, str]] = {
    "external_id": NOTHING,
    "tags": NO_LIST,
    "custom": NO_FIELDS,
    "tokens": NO_LIST,
}
"""What every record type has beside its own columns."""

_HOLE: Final = re.compile(r"\{([a-z_.]+)\}")


def swept(column: str) -> str:
    """A text that stays, with the person's names, addresses and numbers replaced."""
    return f"regexp_replace(t.{column}, {{sought}}, {{pseudonym}}, 'gi')"


def swept_columns(*columns: str) -> Mapping[str, str]:
    """`swept`, of several columns."""
    return {column: swept(column) for column in columns}


def swept_json(column: str) -> str:
    """As `swept`, of everything within a JSON value."""
    return f"regexp_replace(t.{column}::text, {{sought}}, {{pseudonym}}, 'gi')::jsonb"


def swept_list(column: str) -> str:
    """As `swept`, of each text of a list."""
    texts = f"array_to_string(t.{column}, E'\\x1f')"
    return f"string_to_array(regexp_replace({texts}, {{sought}}, {{pseudonym}}, 'gi'), E'\\x1f')"


SWEPT_TOKENS: Final = (
    "CASE WHEN (to_jsonb(t) - 'tokens')::text ~* {sought} OR array_to_string(t.tokens, ' ') ~* {sought}"
    " THEN '{}' ELSE t.tokens END"
)
"""What a record is found by, given up where the person is named in it: the parts of a name say as much."""


def when_set(column: str) -> str:
    """The pseudonym where something stood that may not be empty; nothing where nothing did."""
    return f"CASE WHEN t.{column} IS NOT NULL THEN {{pseudonym}} END"


SWEPT_RECORD: Final[Mapping[str, str]] = {
    "external_id": swept("external_id"),
    "tags": swept_list("tags"),
    "custom": swept_json("custom"),
    "tokens": SWEPT_TOKENS,
}
"""The same of a record that is another's, and only names the person."""


@dataclass(frozen=True)
class Person:
    """A record type that may be a person: who they are, and by what others with the same address are found.

    `condition` is true of the rows `t` that are people. `names`, `emails` and `phones` are columns, texts or lists
    of texts. `same` are columns that name records of other types which are the same person.
    """

    object: str
    names: tuple[str, ...]
    emails: tuple[str, ...]
    phones: tuple[str, ...]
    condition: str = "true"
    same: Mapping[str, str] = field(default_factory=dict)
    consents: str | None = None
    """A column with the state of each channel: `{"email": {"status": "denied", …}}`."""


@dataclass(frozen=True)
class Holding:
    """Rows of a table that are about a person, and what becomes of them when that person is erased.

    `rows` is SQL over `t`. In it `{contact}` is the ids of what was found of a record type, `{schema.table}` of a
    table, `{people}` of the person's own records, `{found}` of everything, `{emails}` and `{phones}` are lists of
    texts in the compared form, `{addresses}` a regular expression that finds them whole, `{sought}` one of them and
    the names.

    `erase` says what columns hold afterwards, as SQL over `t`; None deletes the rows. `why` says why rows are kept.
    `guarded` rows cannot be changed by the application's own role. `file` is a column with an uploaded file, which
    goes too, unless a row that stays names it.
    """

    table: str
    rows: str
    erase: Mapping[str, str] | None = None
    why: str = ""
    guarded: bool = False
    file: str | None = None
    documents: bool = False
    """PDFs of these rows were issued to others as they are, and stay."""
    name: str = ""
    """Where a table has several declarations: what tells this one from the others."""

    @property
    def key(self) -> str:
        """What the declaration is known by."""
        return f"{self.table}:{self.name}" if self.name else self.table

    @property
    def action(self) -> str:
        """`deleted`, `pseudonymised`, or `kept` as it is."""
        if self.erase is None:
            return "deleted"
        return "pseudonymised" if self.erase else "kept"


def filled(sql: str, fill: Callable[[str], str]) -> str:
    """SQL with its holes filled. Braces of JSON and array literals (`{}`) are no holes."""
    return _HOLE.sub(lambda hole: fill(hole[1]), sql)
