"""What a table is, whatever file it came from: a header, rows, and the faults found on the way.

Readers yield `Row`s and the import job decides what becomes of them. A fault that concerns one
row travels with that row; a fault that makes the rest of the file meaningless is a `TabularError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import NamedTuple, Protocol


class Format(StrEnum):
    """The file formats that can be read and written."""

    CSV = "csv"
    XLSX = "xlsx"
    NDJSON = "ndjson"


MEDIA_TYPES: dict[Format, str] = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.NDJSON: "application/x-ndjson",
}


class TabularError(Exception):
    """The file cannot be read any further.

    `code` is stable snake_case; `line` is the physical line (or sheet row) counted from 1, `offset`
    the byte counted from 0, each where it is known. The message is fit to be shown to a user.
    """

    def __init__(
        self, code: str, message: str, *, line: int | None = None, offset: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.offset = offset


class Fault(NamedTuple):
    """Why one row cannot be used as it stands. `column` is a header name, or None for the whole row."""

    code: str
    reason: str
    column: str | None = None


class Row(NamedTuple):
    """One record.

    `number` counts records from 0 and is the position to resume from; `line` is where the record
    starts in the file, counted from 1. Without a `fault`, `values` has exactly one entry per header
    name and an empty cell is None; with one, it holds what was found, for the failed-rows file.
    """

    number: int
    line: int
    values: list[str | None]
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """Column names made unique, in file order, and what had to be done to make them so.

    `faults` are warnings (`empty_header`, `duplicate_header`): the names are usable, the user should know.
    """

    names: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    line: int = 1

    @classmethod
    def of(cls, cells: Sequence[str | None], line: int = 1) -> Header:
        """Trim names, drop empty ones at the end, call empty ones `column_3` and repeated ones `Name (2)`.

        Raises: TabularError `no_header` when no cell has text.
        """
        texts = [(cell or "").strip().lstrip("\ufeff") for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        if not texts:
            raise TabularError("no_header", "The file has no header row.", line=line)
        names: list[str] = []
        taken: set[str] = set()
        reserved = set(texts)
        faults: list[Fault] = []
        for position, text in enumerate(texts, start=1):
            name = text or f"column_{position}"
            if not text:
                faults.append(Fault("empty_header", f"Column {position} has no name.", name))
            if name in taken or (not text and name in reserved):
                name = _free_name(name, taken | reserved)
                if text:
                    faults.append(
                        Fault(
                            "duplicate_header",
                            f'Column {position} is a second "{text}"; read as "{name}".',
                            name,
                        )
                    )
            taken.add(name)
            names.append(name)
        return cls(tuple(names), tuple(faults), line)


def _free_name(name: str, taken: set[str]) -> str:
    suffix = 2
    while f"{name} ({suffix})" in taken:
        suffix += 1
    return f"{name} ({suffix})"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one file may ask for; larger is refused, never truncated.

    `field_chars` is per cell; `record_chars` bounds one record (and so one line) of text, hence memory.
    The `xlsx_*` figures bound the decompressed size of a workbook, its ratio to the file's size, the number
    of its parts, the rectangle of cells that a sheet spans, and the shared texts, which are held in memory.
    """

    field_chars: int = 100_000
    record_chars: int = 4_000_000
    columns: int = 1_000
    rows: int = 1_000_000
    xlsx_bytes: int = 1_500_000_000
    xlsx_ratio: int = 200
    xlsx_entries: int = 2_000
    xlsx_grid: int = 200_000_000
    xlsx_shared_text: int = 300_000_000

    def __post_init__(self) -> None:
        if self.field_chars > 131_072:
            raise ValueError("field_chars is at most 131072, the limit of the csv module")


class TableReader(Protocol):
    """A file opened for reading: its header is known, its rows are read on demand in flat memory."""

    @property
    def header(self) -> Header:
        """The columns."""
        ...

    @property
    def format(self) -> Format:
        """The format that was found."""
        ...

    def rows(self, start: int = 0) -> Iterator[Row]:
        """Records from number `start` on; each call reads the file anew, and the numbering never differs.

        Raises: TabularError where the file breaks off.
        """
        ...


def in_batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Rows in lists of `size`, the last one shorter."""
    source = iter(rows)
    while batch := list(islice(source, size)):
        yield batch


async def in_batches_async(reader: TableReader, size: int, *, start: int = 0) -> AsyncIterator[list[Row]]:
    """Rows of `reader` from number `start` in lists of `size`, parsed in a thread so that the event loop
    stays free.

    Raises: TabularError where the file breaks off, after the rows before it were yielded.
    """
    source = reader.rows(start)
    while True:
        batch, error = await asyncio.to_thread(_pull, source, size)
        if batch:
            yield batch
        if error is not None:
            raise error
        if len(batch) < size:
            return


def _pull(source: Iterator[Row], size: int) -> tuple[list[Row], TabularError | None]:
    batch: list[Row] = []
    try:
        batch.extend(islice(source, size))
    except TabularError as error:
        return batch, error
    return batch, None
