"""Tables in files: reading what people bring, writing what they take away.

Knows neither database nor HTTP: the import job opens a local file with `open_table`, reads rows in batches
and resumes by row number; the export feeds batches to a writer and sends on the bytes.
"""

from __future__ import annotations

from pathlib import Path

from app.kernel.tabular.detect import ENCODINGS, detect_format
from app.kernel.tabular.mapping import Guess, Match, Target, guess_mapping
from app.kernel.tabular.model import (
    MEDIA_TYPES,
    Fault,
    Format,
    Header,
    Limits,
    Row,
    TableReader,
    TabularError,
    in_batches,
    in_batches_async,
)
from app.kernel.tabular.text import CsvReader, NdjsonReader
from app.kernel.tabular.writers import (
    Cell,
    CsvWriter,
    FailedRowsWriter,
    NdjsonWriter,
    Writer,
    XlsxWriter,
    stream,
    stream_async,
    writer_for,
)
from app.kernel.tabular.xlsx import XlsxReader

__all__ = [
    "ENCODINGS",
    "MEDIA_TYPES",
    "Cell",
    "CsvReader",
    "CsvWriter",
    "FailedRowsWriter",
    "Fault",
    "Format",
    "Guess",
    "Header",
    "Limits",
    "Match",
    "NdjsonReader",
    "NdjsonWriter",
    "Row",
    "TableReader",
    "TabularError",
    "Target",
    "Writer",
    "XlsxReader",
    "XlsxWriter",
    "guess_mapping",
    "in_batches",
    "in_batches_async",
    "open_table",
    "stream",
    "stream_async",
    "writer_for",
]


def open_table(
    path: Path,
    *,
    expected: Format | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    sheet: str | None = None,
    limits: Limits | None = None,
) -> TableReader:
    """A reader for the file at `path`; what is not given is detected from its content.

    `encoding` and `delimiter` concern CSV, `sheet` XLSX. Work is blocking: call it in a thread.

    Raises: TabularError, as the readers say, and `wrong_format` when the content is not of the `format` asked
    for.
    """
    found = detect_format(path)
    if expected is not None and found != expected and Format.XLSX in (found, expected):
        raise TabularError("wrong_format", f"The file is {found.upper()}, not {expected.upper()}.")
    match expected or found:
        case Format.XLSX:
            return XlsxReader(path, sheet=sheet, limits=limits)
        case Format.NDJSON:
            return NdjsonReader(path, limits=limits)
        case Format.CSV:
            return CsvReader(path, encoding=encoding, delimiter=delimiter, limits=limits)
