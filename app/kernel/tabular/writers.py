"""Writing CSV, NDJSON and XLSX as a stream of bytes, in memory bounded by one batch.

A writer is fed batches of rows and answers the bytes to send on, so that it serves a synchronous loop, an
asynchronous cursor and a test alike: `start()`, then `write(rows)` as often as needed, then `finish()`.
`stream` and `stream_async` drive one over an iterable of batches.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

import orjson

from app.kernel.tabular import formulas
from app.kernel.tabular.model import Fault, Format, TabularError

Cell = str | int | float | Decimal | bool | date | datetime | UUID | None
"""What may stand in a cell; anything else is the caller's to turn into one of these."""

XLSX_MAX_ROWS = 1_048_576
XLSX_MAX_TEXT = 32_767
"""Limits of the format (ECMA-376; Excel specifications and limits)."""


class Writer(Protocol):
    """Turns rows into the bytes of one file. Rows have one cell per header name."""

    def start(self) -> bytes:
        """The bytes that come before the first row."""
        ...

    def write(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        """The bytes of `rows`; may be empty when they are held back for a larger piece."""
        ...

    def finish(self) -> bytes:
        """The bytes after the last row."""
        ...


class CsvWriter:
    """RFC 4180: CRLF, fields quoted where needed, UTF-8.

    `excel=True` puts a byte order mark in front, without which Excel on Windows reads UTF-8 as the local code
    page. Dangerous cells are escaped as `formulas` says. Times are RFC 3339 in UTC with `Z`.
    """

    def __init__(self, header: Sequence[str], *, excel: bool = False, delimiter: str = ",") -> None:
        self._header = header
        self._mark = b"\xef\xbb\xbf" if excel else b""
        self._buffer = io.StringIO(newline="")
        self._csv = csv.writer(self._buffer, delimiter=delimiter, lineterminator="\r\n")

    def start(self) -> bytes:
        """The header line."""
        return self._mark + self.write([self._header])

    def write(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        """The lines of `rows`."""
        plain, escape, leading = _plain, formulas.escape, formulas.LEADING
        self._csv.writerows(
            [
                (escape(cell) if cell[:1] in leading else cell) if type(cell) is str else plain(cell)
                for cell in row
            ]
            for row in rows
        )
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text.encode("utf-8")

    def finish(self) -> bytes:
        """Nothing: a CSV file has no end mark."""
        return b""


def _plain(cell: Cell) -> str | int | None:
    """A cell that is no text, as CSV text; numbers and empty cells are left to the csv module."""
    if cell is None or type(cell) is int:
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime):
        return rfc3339(cell)
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    return str(cell)


def rfc3339(moment: datetime) -> str:
    """An aware time in UTC with `Z`, without a fraction of zero.

    Raises: ValueError for a time without a zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a time in a file needs a zone")
    if moment.tzinfo is not UTC:  # the driver's are already
        moment = moment.astimezone(UTC)
    return moment.isoformat().removesuffix("+00:00") + "Z"


class NdjsonWriter:
    """One JSON object per line. Decimals are strings, as money is in the API; nothing is escaped as a
    formula."""

    def __init__(self, header: Sequence[str]) -> None:
        self._header = tuple(header)

    def start(self) -> bytes:
        """Nothing: the format has no header."""
        return b""

    def write(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        """The lines of `rows`."""
        header, dumps = self._header, orjson.dumps
        return b"".join([dumps(dict(zip(header, row, strict=True)), _json_default, _JSON) for row in rows])

    def finish(self) -> bytes:
        """Nothing."""
        return b""


_JSON = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


def _json_default(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(f"{type(value).__name__} cannot be exported")


class XlsxWriter:
    """A workbook written straight into its zip stream, cell by cell, so that memory does not grow with rows.

    Texts are stored inline and typed as text, which a spreadsheet never evaluates, so nothing is escaped as a
    formula. Whole numbers of up to 15 digits are numbers, others text, since Excel would round them. Past the
    1,048,576 rows of a sheet the next sheet begins with the same header.
    """

    def __init__(
        self, header: Sequence[str], *, sheet: str = "Data", sheet_rows: int = XLSX_MAX_ROWS
    ) -> None:
        self._header = header
        self._title = sheet
        self._sheet_rows = sheet_rows
        self._out = _Pipe()
        self._zip = _Archive(self._out, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._part: io.BufferedWriter | None = None
        self._sheets = 0
        self._row = 0

    def start(self) -> bytes:
        """The beginning of the archive and the header row."""
        self._open_sheet()
        return self._out.take()

    def write(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        """What the compressor has ready after `rows`.

        Raises: TabularError `cell_too_long` for a text over 32,767 characters, the most a cell can hold.
        """
        lines: list[str] = []
        for row in rows:
            if self._row >= self._sheet_rows:
                self._append(lines)
                lines = []
                self._close_sheet()
                self._open_sheet()
            self._row += 1
            lines.append(f"<row>{''.join([_xml_cell(cell) for cell in row])}</row>")
        self._append(lines)
        return self._out.take()

    def finish(self) -> bytes:
        """The end of the sheet and the parts that describe the workbook."""
        self._close_sheet()
        for name, text in _workbook_parts(self._title, self._sheets).items():
            self._zip.writestr(name, text)
        self._zip.close()
        return self._out.take()

    def _append(self, lines: list[str]) -> None:
        if self._part is not None and lines:
            self._part.write("".join(lines).encode("utf-8"))

    def _open_sheet(self) -> None:
        self._sheets += 1
        # zipfile's writable part is typed IO[bytes]
        self._part = self._zip.open(f"xl/worksheets/sheet{self._sheets}.xml", "w", force_zip64=True)  # type: ignore[assignment]
        self._append([_XML, f'<worksheet xmlns="{_MAIN}"><sheetData>'])
        self._append([f"<row>{''.join([_xml_cell(name) for name in self._header])}</row>"])
        self._row = 1

    def _close_sheet(self) -> None:
        self._append(["</sheetData></worksheet>"])
        if self._part is not None:
            self._part.close()


class _Archive(zipfile.ZipFile):
    """An archive that may be abandoned half-written, as when a download is broken off."""

    def __del__(self) -> None:
        """Leave it open: closing would insist on the part being finished, and only memory is held."""


class _Pipe(io.RawIOBase):
    """Where the archive is written to and taken from; it cannot seek, so zipfile streams."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: object, /) -> int:
        data = bytes(piece)  # type: ignore[call-overload]
        self._pieces.append(data)
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
# Characters that XML 1.0 cannot hold, and texts that look like Excel's own escape for them (_x000D_).
_SPECIAL = re.compile(r"[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


def _xml_cell(cell: Cell) -> str:
    if cell is None or cell == "":
        return "<c/>"
    if type(cell) is str:
        return _xml_text(cell)
    if isinstance(cell, bool):
        return f'<c t="b"><v>{int(cell)}</v></c>'
    if isinstance(cell, int) and abs(cell) < 10**15:
        return f"<c><v>{cell}</v></c>"
    return _xml_text(str(_plain(cell)))


def _xml_text(text: str) -> str:
    if len(text) > XLSX_MAX_TEXT:
        raise TabularError(
            "cell_too_long", f"A cell of {len(text)} characters; XLSX holds {XLSX_MAX_TEXT}. Export CSV."
        )
    if _SPECIAL.search(text):
        text = _SPECIAL.sub(_xml_escape, text)
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def _xml_escape(match: re.Match[str]) -> str:
    """An entity for markup, Excel's `_xHHHH_` for what XML cannot hold (ECMA-376 part 1 §22.9.2.19)."""
    character = match.group()
    named = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(character)
    return named or f"_x{ord(character):04X}_"


def _workbook_parts(title: str, sheets: int) -> dict[str, str]:
    """The fixed parts of a minimal workbook with `sheets` worksheets."""
    numbers = range(1, sheets + 1)
    names = {number: title if number == 1 else f"{title} {number}" for number in numbers}
    types = "".join(
        f'<Override PartName="/xl/worksheets/sheet{number}.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
        for number in numbers
    )
    listed = "".join(
        f'<sheet name="{_SPECIAL.sub(_xml_escape, names[number])}" sheetId="{number}" r:id="rId{number}"/>'
        for number in numbers
    )
    related = "".join(
        f'<Relationship Id="rId{number}" Type="{_RELATIONS}/worksheet" '
        f'Target="worksheets/sheet{number}.xml"/>'
        for number in numbers
    )
    return {
        "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        f"{types}</Types>",
        "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}">'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
        f"{related}</Relationships>",
    }


class FailedRowsWriter:
    """The file that tells an importer what to mend: the original columns, then `line`, `column`, `code`,
    `reason`.

    One line per failed row, its faults joined by `; `, so that the mended file can be imported as it is.
    Where the original has a column of such a name, ours is called `line (import)` and so on.
    """

    COLUMNS = ("line", "column", "code", "reason")

    def __init__(self, header: Sequence[str], *, excel: bool = True) -> None:
        self._width = len(header)
        self._csv = CsvWriter([*header, *self._own(header)], excel=excel)

    @classmethod
    def _own(cls, header: Sequence[str]) -> list[str]:
        return [f"{name} (import)" if name in header else name for name in cls.COLUMNS]

    @classmethod
    def original(cls, header: Sequence[str]) -> Sequence[str]:
        """The columns that a file of failed rows had before it was one, also several times over."""
        width = len(cls.COLUMNS)
        while len(header) > width and [*header[-width:]] == cls._own(header[:-width]):
            header = header[:-width]
        return header

    def start(self) -> bytes:
        """The header line."""
        return self._csv.start()

    def write(self, rows: Iterable[tuple[int, Sequence[str | None], Sequence[Fault]]]) -> bytes:
        """The lines for failed rows, each given as its line in the file, its values and its faults.

        A row of another width is padded, or its surplus cells are joined into the last column.
        """
        return self._csv.write(self._cells(line, values, faults) for line, values, faults in rows)

    def finish(self) -> bytes:
        """Nothing."""
        return self._csv.finish()

    def _cells(self, line: int, values: Sequence[str | None], faults: Sequence[Fault]) -> list[Cell]:
        cells: list[Cell] = list(values[: self._width])
        cells.extend([None] * (self._width - len(cells)))
        if len(values) > self._width:
            cells[-1] = " | ".join(value or "" for value in values[self._width - 1 :])
        columns = "; ".join(fault.column or "" for fault in faults)
        codes = "; ".join(fault.code for fault in faults)
        reasons = "; ".join(fault.reason for fault in faults)
        return [*cells, line, columns, codes, reasons]


def writer_for(kind: Format, header: Sequence[str], *, excel: bool = False, title: str = "Data") -> Writer:
    """The writer of `kind`. `excel` concerns CSV only, `title` names the XLSX sheet."""
    match kind:
        case Format.CSV:
            return CsvWriter(header, excel=excel)
        case Format.NDJSON:
            return NdjsonWriter(header)
        case Format.XLSX:
            return XlsxWriter(header, sheet=title)


def stream(writer: Writer, batches: Iterable[Iterable[Sequence[Cell]]]) -> Iterator[bytes]:
    """The whole file in pieces, one per batch."""
    yield writer.start()
    for batch in batches:
        if piece := writer.write(batch):
            yield piece
    if piece := writer.finish():
        yield piece


async def stream_async(
    writer: Writer, batches: AsyncIterable[Iterable[Sequence[Cell]]]
) -> AsyncIterator[bytes]:
    """The whole file in pieces, one per batch; give batches of about 1,000 rows, each blocks for some ten
    milliseconds."""
    yield writer.start()
    async for batch in batches:
        if piece := writer.write(batch):
            yield piece
    if piece := writer.finish():
        yield piece
