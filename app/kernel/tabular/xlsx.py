"""Reading XLSX workbooks, which are zip archives made by strangers.

Before a parser sees the file, every part is decompressed once in small pieces and counted, because the zip
directory may lie about sizes and a few kilobytes can unpack to terabytes. The same pass finds the rectangle
each sheet spans: calamine allocates all of it, so two cells at opposite corners would take all memory.

Two parsers share the work. python-calamine is fast (over 100,000 rows/s) but holds the sheet in memory, about
60 bytes a cell; beyond `EAGER_CELLS` openpyxl's read-only mode takes over, at about 8,000 rows/s of ten
columns in flat memory (only the workbook's shared texts are held). Tests prove that both give the same rows.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from app.kernel.tabular.model import Fault, Format, Header, Limits, Row, TabularError
from app.kernel.tabular.text import check_cells

EAGER_CELLS = 1_500_000
_PIECE = 1 << 18
_ATTRIBUTES = rb"""(?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'))*?"""
_REFERENCE = rb"""\s+r\s*=\s*["']([A-Za-z]{1,3})([0-9]{1,7})["']"""
_ROW = re.compile(
    rb"<(?:[\w.-]+:)?row(?:" + _ATTRIBUTES + rb"""\s+r\s*=\s*["']\s*([0-9]{1,7}))?(?=[\s/>"'])"""
)
_CELL = re.compile(rb"<(?:[\w.-]+:)?c(?:" + _ATTRIBUTES + _REFERENCE + rb")?(?=[\s/>])")
_LONGEST_TAG = 1_000_000
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    LookupError,
    SyntaxError,
    AttributeError,
    TypeError,
)
"""What the parsers raise, beside calamine's own error, on files that are zip archives but no proper workbooks."""


class XlsxReader:
    """One sheet of a workbook, with a header in its first non-blank row. `line` of a row is its sheet row."""

    format = Format.XLSX

    def __init__(
        self,
        path: Path,
        *,
        sheet: str | None = None,
        limits: Limits | None = None,
        eager_cells: int = EAGER_CELLS,
    ) -> None:
        """Inspect the archive, then open `sheet` (default: the first worksheet that is not hidden).

        Raises: TabularError `wrong_file`, `zip_bomb`, `sheet_too_large`, `encrypted`, `no_sheet`,
        `no_header`, `too_many_columns`.
        """
        self._path = path
        self._limits = limits or Limits()
        cells = inspect_archive(path, self._limits)
        found = _sheets(path)
        self.sheets = list(found)
        if sheet is None:
            sheet = next((name for name, visible in found.items() if visible), self.sheets[0])
        elif sheet not in self.sheets:
            known = ", ".join(f'"{name}"' for name in self.sheets)
            raise TabularError("no_sheet", f'There is no sheet "{sheet}"; there are {known}.')
        self.sheet = sheet
        self._eager = cells <= eager_cells
        self.header = self._read_header()

    def rows(self, start: int = 0) -> Iterator[Row]:
        """Records from number `start` on. Blank rows are passed over and not numbered.

        Whole numbers have no decimal point, dates are ISO 8601, booleans `true` and `false`; a formula gives
        its last computed value and an Excel error such as `#N/A` an empty cell. Faults are those of a CSV
        row.

        Raises: TabularError `malformed`, `too_many_rows`.
        """
        names = self.header.names
        number = -1
        for line, cells in self._cells():
            if line <= self.header.line:
                continue
            number += 1
            if number < start:
                continue
            if number >= self._limits.rows:
                raise TabularError(
                    "too_many_rows", f"The sheet has more than {self._limits.rows} rows.", line=line
                )
            yield self._row(number, line, names, cells)

    def _row(self, number: int, line: int, names: tuple[str, ...], cells: Sequence[object]) -> Row:
        values = [cell if type(cell) is str else _cell_text(cell) for cell in cells]
        while len(values) > len(names) and not values[-1]:
            values.pop()
        values.extend([None] * (len(names) - len(values)))
        found = [value or None for value in values]
        if len(found) > len(names):
            return Row(
                number,
                line,
                found,
                Fault("ragged_row", f"The row has {len(found)} cells, the header {len(names)}."),
            )
        return Row(number, line, found, check_cells(names, found, self._limits.field_chars))

    def _read_header(self) -> Header:
        for line, cells in self._cells():
            texts = [_cell_text(cell) for cell in cells]
            header = Header.of(texts, line)
            if len(header.names) > self._limits.columns:
                raise TabularError(
                    "too_many_columns",
                    f"The header has {len(header.names)} columns; {self._limits.columns} are allowed.",
                    line=line,
                )
            return header
        raise TabularError("no_header", f'The sheet "{self.sheet}" is empty.', line=1)

    def _cells(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Sheet rows that are not blank, with their number in the sheet."""
        from python_calamine import CalamineError

        source = self._eager_cells() if self._eager else self._lazy_cells()
        try:
            for line, cells in source:
                if any(cell is not None and cell != "" for cell in cells):
                    yield line, cells
        except (CalamineError, *_DAMAGE) as error:
            raise TabularError("malformed", f"The workbook is damaged: {error}.") from None

    def _eager_cells(self) -> Iterator[tuple[int, Sequence[object]]]:
        from python_calamine import CalamineWorkbook  # here: 1 MB, for who reads workbooks

        with CalamineWorkbook.from_path(str(self._path)) as book:
            sheet = book.get_sheet_by_name(self.sheet)
            margin: list[object] = [None] * (sheet.start or (0, 0))[1]  # rows begin at 1, columns do not
            for line, cells in enumerate(sheet.iter_rows(), start=1):
                yield line, margin + cells

    def _lazy_cells(self) -> Iterator[tuple[int, Sequence[object]]]:
        import openpyxl  # 27 MB, for the largest sheets only

        with self._path.open("rb") as file:  # openpyxl leaves a file it opened itself open when it fails
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
            sheet = book[self.sheet]
            sheet.reset_dimensions()
            for line, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
                yield line, [_unescape(cell) if type(cell) is str else cell for cell in cells]


def _sheets(path: Path) -> dict[str, bool]:
    """The worksheets in their order, each with whether people see it."""
    from python_calamine import (
        CalamineError,
        CalamineWorkbook,
        PasswordError,
        SheetTypeEnum,
        SheetVisibleEnum,
    )

    try:
        with CalamineWorkbook.from_path(str(path)) as book:
            found = {
                sheet.name: sheet.visible == SheetVisibleEnum.Visible
                for sheet in book.sheets_metadata
                if sheet.typ == SheetTypeEnum.WorkSheet
            }
    except PasswordError:
        raise TabularError(
            "encrypted", "The workbook is protected by a password; save it without one."
        ) from None
    except (CalamineError, OSError, ValueError) as error:
        raise TabularError("wrong_file", f"This is not an XLSX workbook: {error}.") from None
    if not found:
        raise TabularError("no_sheet", "The workbook has no worksheet.")
    return found


def _cell_text(cell: object) -> str | None:
    """A typed cell as the text a person would have put into a CSV file."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return _number(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(timespec="seconds")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return _duration(cell)
    return str(cell)


def _number(value: float) -> str:
    """Digits without exponent and without `.0`; fifteen significant digits are what Excel stores and
    shows."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{Decimal(f'{value:.15g}'):f}"


def _duration(value: timedelta) -> str:
    seconds = round(value.total_seconds())
    sign = "-" if seconds < 0 else ""
    minutes, seconds = divmod(abs(seconds), 60)
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


_ESCAPE = re.compile(r"_x((?![dD][89a-fA-F])[0-9A-Fa-f]{4})_")
_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!"})


def _unescape(text: str) -> str | None:
    """What calamine does and openpyxl leaves undone: errors are empty, `_x000D_` is a carriage return
    (ECMA-376 part 1 §22.9.2.19).
    """
    if text in _ERRORS:
        return None
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


@dataclass(slots=True)
class _Extent:
    """The rectangle from A1 that a sheet may span, never less than a parser would allocate.

    Rows and cells need not carry a reference; those without follow the one before, so they widen the
    rectangle by as many as stand in one row, or as there are rows.
    """

    last_row: int = 0
    last_column: int = 0
    row_tags: int = 0
    longest: int = 0
    current: int = 0
    bare_cells: bool = False

    @property
    def rows(self) -> int:
        return self.last_row + self.row_tags if self.bare_cells or not self.last_row else self.last_row

    @property
    def columns(self) -> int:
        return self.last_column + self.longest if self.bare_cells else self.last_column

    def extend(self, text: bytes) -> None:
        """Take in a piece of the sheet that cuts no tag in two."""
        start = 0
        for row in _ROW.finditer(text):
            self._cells(text[start : row.start()])
            start = row.end()
            self.row_tags += 1
            self.current = 0
            self.last_row = max(self.last_row, int(row[1] or 0))
        self._cells(text[start:])

    def _cells(self, text: bytes) -> None:
        found = _CELL.findall(text)
        self.current += len(found)
        self.longest = max(self.longest, self.current)
        for column, row in found:
            if column:
                self.last_row = max(self.last_row, int(row))
                self.last_column = max(self.last_column, _column(column))
            else:
                self.bare_cells = True


@lru_cache(maxsize=1_000)
def _column(letters: bytes) -> int:
    """The number of a column from its letters: A is 1, Z 26, AA 27."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def inspect_archive(path: Path, limits: Limits) -> int:
    """Refuse what would harm a parser; answers the cells of the largest sheet's rectangle.

    Raises: TabularError `wrong_file` (no zip, no workbook in it, damaged), `zip_bomb` (too many parts, too
    large, compressed too well, sizes that lie), `encrypted`, `sheet_too_large`.
    """
    largest = 0
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            _check_directory(parts, path.stat().st_size, limits)
            for part in parts:
                extent = _measure(archive, part)
                cells = extent.rows * extent.columns
                if cells > limits.xlsx_grid:
                    raise TabularError(
                        "sheet_too_large",
                        f"A sheet spans {extent.rows} rows by {extent.columns} columns; "
                        f"{limits.xlsx_grid} cells are allowed.",
                    )
                largest = max(largest, cells)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise TabularError(
            "wrong_file", f"This is not an XLSX workbook, or it is damaged: {error}."
        ) from None
    return largest


def _check_directory(parts: list[zipfile.ZipInfo], size: int, limits: Limits) -> None:
    if len(parts) > limits.xlsx_entries:
        raise TabularError(
            "zip_bomb", f"The workbook has {len(parts)} parts; {limits.xlsx_entries} are allowed."
        )
    if any(part.flag_bits & 0x1 for part in parts):
        raise TabularError("encrypted", "The workbook is protected by a password; save it without one.")
    if any(part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for part in parts):
        raise TabularError("wrong_file", "The workbook is compressed by a method that Excel does not use.")
    if len({part.filename for part in parts}) != len(parts):
        raise TabularError("zip_bomb", "The workbook names a part twice.")
    total = sum(part.file_size for part in parts)
    if total > limits.xlsx_bytes:
        raise TabularError(
            "zip_bomb", f"The workbook unpacks to {total} bytes; {limits.xlsx_bytes} are allowed."
        )
    shared = sum(part.file_size for part in parts if part.filename.lower() == "xl/sharedstrings.xml")
    if shared > limits.xlsx_shared_text:
        raise TabularError(
            "zip_bomb", f"The texts unpack to {shared} bytes; {limits.xlsx_shared_text} are allowed. Use CSV."
        )
    if total > 1_000_000 and total > size * limits.xlsx_ratio:
        raise TabularError(
            "zip_bomb", f"The workbook unpacks to more than {limits.xlsx_ratio} times its size."
        )
    if not any(part.filename == "xl/workbook.xml" for part in parts):
        raise TabularError("wrong_file", "This is a zip archive, but not an XLSX workbook.")


def _measure(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> _Extent:
    """Decompress `part` in pieces, hold it to its declared size, and measure it if it is a sheet."""
    extent = _Extent()
    is_sheet = part.filename.lower().startswith("xl/worksheets/")
    rest = b""
    for piece in _unpacked(archive, part):
        if is_sheet:
            text = rest + piece
            cut = max(text.rfind(b"<"), 0)
            extent.extend(text[:cut])
            rest = text[cut:]
            if len(rest) > _LONGEST_TAG:
                raise TabularError(
                    "malformed", "A sheet of the workbook holds a text of over a million characters."
                )
    extent.extend(rest)
    return extent


def _unpacked(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of `part`, read past the size that the directory claims if there are more.

    Parsers differ in whether they stop at the claimed size; the compressed bytes themselves cannot lie.
    """
    file = archive.fp
    if file is None:
        raise zipfile.BadZipFile("the archive is closed")
    file.seek(part.header_offset)
    local = file.read(30)
    if len(local) < 30 or local[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("a part has no header")
    file.seek(int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little"), 1)
    inflate = zlib.decompressobj(-15) if part.compress_type == zipfile.ZIP_DEFLATED else None
    left, seen = part.compress_size, 0
    while left > 0 and (packed := file.read(min(_PIECE, left))):
        left -= len(packed)
        while packed:
            piece = packed if inflate is None else inflate.decompress(packed, _PIECE)
            packed = b"" if inflate is None else inflate.unconsumed_tail
            seen += len(piece)
            if seen > part.file_size:
                raise TabularError(
                    "zip_bomb", f'The part "{part.filename}" is larger than the archive claims.'
                )
            if piece:
                yield piece
