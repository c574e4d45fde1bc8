"""Reading CSV and NDJSON line by line, in memory bounded by one record.

The standard library's csv module parses; what is added here is what it does not say: where a record
starts, that a quote was never closed, that bytes do not decode and where, NUL characters, cells that are too
long, rows that are too short or too long.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from app.kernel.tabular import formulas
from app.kernel.tabular.detect import check_encoding, detect_delimiter, detect_encoding, known_encoding
from app.kernel.tabular.model import Fault, Format, Header, Limits, Row, TabularError

_HEADER_SAMPLE = 1_000


class _Lines:
    """The physical lines of a text, ends kept, with the two facts the row loop asks for.

    `size` is the number of characters since `begin()`, bounded by `limit`; `marks` says whether a NUL or an
    apostrophe was among them, so that clean rows are not searched cell by cell.
    """

    __slots__ = ("limit", "marks", "number", "size", "start", "text")

    def __init__(self, text: TextIO, limit: int) -> None:
        self.text = text
        self.limit = limit
        self.number = 0
        self.start = 0
        self.size = 0
        self.marks = False

    def begin(self) -> None:
        """The lines so far belong to a finished record."""
        self.start = self.number
        self.size = 0
        self.marks = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.text.readline(self.limit + 1)
        if not line:
            if self.size:  # the parser wants more for a record it has begun
                raise TabularError(
                    "unclosed_quote",
                    f"A quotation mark in the record that starts on line {self.start + 1} is never closed.",
                    line=self.start + 1,
                )
            raise StopIteration
        self.number += 1
        self.size += len(line)
        if self.size > self.limit:
            raise TabularError(
                "record_too_long",
                f"The record that starts on line {self.start + 1} has more than {self.limit} characters; "
                "a quotation mark may not be closed, or the file may not be text.",
                line=self.start + 1,
            )
        if "'" in line or "\x00" in line:
            self.marks = True
        return line


class CsvReader:
    """A delimited text file with a header in its first non-blank row."""

    format = Format.CSV

    def __init__(
        self,
        path: Path,
        *,
        encoding: str | None = None,
        delimiter: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Look at the head of `path`; what is not given is detected.

        Raises: TabularError `unknown_encoding`, `unsupported_encoding`, `undecodable`, `no_header`,
            `too_many_columns`.
        """
        self._path = path
        self._limits = limits or Limits()
        self.encoding = known_encoding(encoding) if encoding else detect_encoding(path)
        self.delimiter = delimiter or detect_delimiter(path, self.encoding)
        with self._open() as text:
            lines = _Lines(text, self._limits.record_chars)
            self.header = self._read_header(lines, self._records(lines))

    def rows(self, start: int = 0) -> Iterator[Row]:
        """Records from number `start` on. Blank rows are passed over and not numbered.

        A row has a fault `ragged_row` when it is shorter than the header or has text beyond it, `nul` when
        a cell holds U+0000, `field_too_long` when one exceeds the limit. A leading apostrophe written by
        `formulas.escape` is removed.

        Raises: TabularError `undecodable`, `record_too_long`, `unclosed_quote`, `malformed`, `too_many_rows`.
        """
        with self._open() as text:
            try:
                yield from self._rows(text, start)
            except UnicodeDecodeError:
                check_encoding(self._path, self.encoding)
                raise

    def _rows(self, text: TextIO, start: int) -> Iterator[Row]:
        lines = _Lines(text, self._limits.record_chars)
        records = self._records(lines)
        self._read_header(lines, records)
        width, longest, most = len(self.header.names), self._limits.field_chars, self._limits.rows
        number = -1
        lines.begin()
        for cells in records:
            if any(cells):
                number += 1
                if number >= start:
                    if number >= most:
                        raise TabularError(
                            "too_many_rows", f"The file has more than {most} rows.", line=lines.start + 1
                        )
                    if len(cells) == width and not lines.marks and lines.size <= longest:
                        yield Row(number, lines.start + 1, [cell or None for cell in cells])
                    else:
                        yield self._odd_row(number, lines, cells)
            lines.begin()

    def _odd_row(self, number: int, lines: _Lines, cells: list[str]) -> Row:
        """A row that needs a closer look: another width, an apostrophe, a NUL, or simply long."""
        names = self.header.names
        width = len(names)
        while len(cells) > width and not cells[-1]:
            cells.pop()
        values: list[str | None] = [formulas.restore(cell) or None for cell in cells]
        fault = None
        if len(cells) != width:
            fault = Fault("ragged_row", f"The row has {len(cells)} cells, the header {width}.")
        else:
            fault = check_cells(names, values, self._limits.field_chars)
        return Row(number, lines.start + 1, values, fault)

    def _read_header(self, lines: _Lines, records: Iterator[list[str]]) -> Header:
        try:
            for cells in records:
                line = lines.start + 1
                hint = (
                    len(cells) <= 2
                    and lines.number == 1
                    and cells
                    and cells[0].lstrip("\ufeff").lower()[:4] == "sep="
                )
                if any(cells) and not hint:
                    if len(cells) > self._limits.columns:
                        raise TabularError(
                            "too_many_columns",
                            f"The header has {len(cells)} columns; {self._limits.columns} are allowed.",
                            line=line,
                        )
                    return Header.of(cells, line)
                lines.begin()
        except UnicodeDecodeError:
            check_encoding(self._path, self.encoding)
            raise
        raise TabularError("no_header", "The file has no header row.", line=1)

    def _records(self, lines: _Lines) -> Iterator[list[str]]:
        source = csv.reader(lines, delimiter=self.delimiter, strict=False)
        while True:
            try:
                yield next(source)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._explain(error, lines.start + 1) from None

    def _explain(self, error: csv.Error, line: int) -> TabularError:
        if "field limit" in str(error):
            return TabularError(
                "unclosed_quote",
                f"A cell of the record that starts on line {line} is longer than {csv.field_size_limit()}; "
                "a quotation mark may not be closed.",
                line=line,
            )
        return TabularError(
            "malformed", f"The record that starts on line {line} cannot be read: {error}.", line=line
        )

    def _open(self) -> TextIO:
        return self._path.open("r", encoding=self.encoding, errors="strict", newline="")


def check_cells(names: tuple[str, ...], values: list[str | None], longest: int) -> Fault | None:
    """The first thing wrong with the cells of a row of the right width."""
    for name, value in zip(names, values, strict=True):
        if value is not None:
            if len(value) > longest:
                return Fault(
                    "field_too_long", f"The cell has {len(value)} characters; {longest} are allowed.", name
                )
            if "\x00" in value:
                return Fault("nul", "The cell contains a NUL character.", name)
    return None


class NdjsonReader:
    """One JSON object per line (application/x-ndjson). Columns are the keys of the first 1,000 objects.

    Numbers keep their digits, booleans are `true` and `false`, null is an empty cell, objects and arrays are
    kept as compact JSON in which fractions are strings. Text is UTF-8 (RFC 8259 §8.1). So that what the API shows and
    exports write can be read, `custom` has a column for each of its fields, `custom.<key>`, and an amount of money is
    its digits with the currency behind them.
    """

    format = Format.NDJSON
    encoding = "utf-8-sig"

    def __init__(self, path: Path, *, limits: Limits | None = None) -> None:
        """Read the keys of the first objects of `path`.

        Raises: TabularError `no_header` when there is none, `undecodable`, `too_many_columns`.
        """
        self._path = path
        self._limits = limits or Limits()
        names: dict[str, None] = {}
        for count, (_, item, _) in enumerate(self._items()):
            names.update(dict.fromkeys(item or ()))
            if count + 1 >= _HEADER_SAMPLE:
                break
        if not names:
            raise TabularError("no_header", "The file holds no JSON object with fields.", line=1)
        if len(names) > self._limits.columns:
            raise TabularError(
                "too_many_columns", f"There are {len(names)} fields; {self._limits.columns} are allowed."
            )
        self.header = Header(tuple(names))

    def rows(self, start: int = 0) -> Iterator[Row]:
        """Records from number `start` on. Blank lines are passed over and not numbered.

        A row has a fault `bad_json` when its line is not a JSON object, `unknown_field` when it has a key
        that is no column, and those of a CSV row.

        Raises: TabularError `undecodable`, `record_too_long`, `too_many_rows`.
        """
        names = self.header.names
        known = frozenset(names)
        for number, (line, item, fault) in enumerate(self._items()):
            if number < start:
                continue
            if number >= self._limits.rows:
                raise TabularError(
                    "too_many_rows", f"The file has more than {self._limits.rows} rows.", line=line
                )
            if item is None:
                yield Row(number, line, [], fault)
                continue
            values = [_cell_text(item.get(name)) for name in names]
            if extra := item.keys() - known:
                fault = Fault(
                    "unknown_field", f'The field "{min(extra)}" is in none of the first rows.', min(extra)
                )
            yield Row(number, line, values, fault or check_cells(names, values, self._limits.field_chars))

    def _items(self) -> Iterator[tuple[int, dict[str, object] | None, Fault | None]]:
        try:
            with self._path.open("r", encoding=self.encoding, errors="strict", newline="\n") as text:
                lines = _Lines(text, self._limits.record_chars)
                for line in lines:
                    lines.begin()
                    if not line.isspace():
                        item, fault = _parse(line)
                        yield lines.number, item, fault
        except UnicodeDecodeError:
            check_encoding(self._path, self.encoding)
            raise


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)


def _parse(line: str) -> tuple[dict[str, object] | None, Fault | None]:
    try:
        item = _decoder.decode(line)
    except RecursionError:
        return None, Fault("bad_json", "The line is nested too deeply.")
    except ValueError as error:
        return None, Fault("bad_json", f"The line is not JSON: {error}.")
    if not isinstance(item, dict):
        return None, Fault("bad_json", "The line is not a JSON object.")
    custom = item.get("custom")
    if isinstance(custom, dict):
        del item["custom"]
        item |= {f"custom.{key}": value for key, value in custom.items()}
    return item, None


_CODE = re.compile(r"[A-Za-z]{3}")


def _cell_text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        amount, currency = value["amount"], value["currency"]
        if (
            isinstance(amount, str | int | Decimal)
            and isinstance(currency, str)
            and _CODE.fullmatch(currency)
        ):
            return f"{amount} {currency.upper()}"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
