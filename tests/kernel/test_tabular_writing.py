"""What is written can be read again unchanged, and a spreadsheet runs none of it."""

import csv
import io
import json
import tempfile
import tracemalloc
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.tabular import (
    CsvReader,
    CsvWriter,
    FailedRowsWriter,
    Fault,
    Format,
    NdjsonReader,
    NdjsonWriter,
    TabularError,
    XlsxReader,
    XlsxWriter,
    stream,
    stream_async,
    writer_for,
)
from app.kernel.tabular.formulas import escape, restore

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
DANGEROUS = st.text("'=+-@\t\r\n＝0123456789.a", max_size=6)
CELLS = st.one_of(st.none(), TEXT.filter(bool), DANGEROUS.filter(bool))
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=3).filter(any), max_size=8)
HEADER = ["name", "note", "phone"]


def whole(writer, rows) -> bytes:
    return b"".join(stream(writer, [rows]))


def read_again(content: bytes, kind) -> list[list[str | None]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        reader = kind(path)
        assert reader.header.names == tuple(HEADER)
        rows = list(reader.rows())
        assert [row.fault for row in rows] == [None] * len(rows)
        return [row.values for row in rows]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("＝1+1", "'＝1+1"),
        ("+1-202-555-0100", "'+1-202-555-0100"),
        ("-", "'-"),
        ("+", "'+"),
        ("'=1", "''=1"),
        ("''=1", "'''=1"),
        ("-12.50", "-12.50"),
        ("+8613800138000", "+8613800138000"),
        ("'quoted'", "'quoted'"),
        ("O'Brien", "O'Brien"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_formulas_are_escaped_and_signed_numbers_are_not(text, escaped):
    assert escape(text) == escaped
    assert restore(escaped) == text


@given(st.one_of(TEXT, DANGEROUS))
def test_the_escape_is_undone_exactly(text):
    assert restore(escape(text)) == text
    assert escape(text)[:1] not in set("=@\t\r\n＝＋－＠")


def test_csv_is_rfc_4180_with_every_type_spelt_plainly():
    moment = datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=8)))
    row = [
        'say "hi", twice\nplease',
        None,
        7,
        True,
        Decimal("1E+3"),
        Decimal("-1.50"),
        date(2026, 3, 1),
        moment,
        UUID(int=1),
        0.5,
        "=1+1",
    ]
    assert whole(CsvWriter([f"c{n}" for n in range(11)], excel=True), [row]) == (
        b"\xef\xbb\xbfc0,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10\r\n"
        b'"say ""hi"", twice\nplease",,7,true,1000,-1.50,2026-03-01,2026-03-01T00:30:00Z,'
        b"00000000-0000-0000-0000-000000000001,0.5,'=1+1\r\n"
    )


def test_a_time_without_a_zone_is_never_exported():
    with pytest.raises(ValueError, match="needs a zone"):
        whole(CsvWriter(["at"]), [[datetime(2026, 1, 1)]])  # noqa: DTZ001


def test_json_lines_keep_types_and_money_as_text():
    rows = [["悟空", Decimal("1299.00"), True], [None, datetime(2026, 1, 1, tzinfo=UTC), 3]]
    assert whole(NdjsonWriter(["a", "b", "c"]), rows) == (
        '{"a":"悟空","b":"1299.00","c":true}\n{"a":null,"b":"2026-01-01T00:00:00Z","c":3}\n'.encode()
    )


@given(ROWS)
@settings(max_examples=150, deadline=None)
def test_csv_written_and_read_again_is_the_same(rows):
    assert read_again(whole(CsvWriter(HEADER), rows), CsvReader) == rows


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_json_lines_written_and_read_again_are_the_same(rows):
    assert read_again(whole(NdjsonWriter(HEADER), rows), NdjsonReader) == rows


@given(ROWS)
@settings(max_examples=40, deadline=None)
def test_xlsx_written_and_read_again_by_either_parser_is_the_same(rows):
    content = whole(XlsxWriter(HEADER), rows)
    assert read_again(content, XlsxReader) == rows
    assert read_again(content, lambda path: XlsxReader(path, eager_cells=0)) == rows


def test_an_exported_workbook_holds_no_formula_and_typed_numbers():
    rows = [["=1+1", 42, Decimal("1.10")], ["_x000D_", True, 12345678901234567890], ["a&<b>\r", None, "x"]]
    book = openpyxl.load_workbook(io.BytesIO(whole(XlsxWriter(HEADER, sheet="Kunden & Co"), rows)))
    sheet = book["Kunden & Co"]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "inlineStr", "n", "b"}
    assert [cell.value for cell in sheet[2]] == ["=1+1", 42, "1.10"]
    assert [cell.value for cell in sheet[3]] == ["_x005F_x000D_", True, "12345678901234567890"]
    assert [cell.value for cell in sheet[4]] == ["a&<b>_x000D_", None, "x"]  # as stored


def test_rows_past_the_end_of_a_sheet_go_to_the_next_with_the_same_header():
    content = whole(XlsxWriter(["n"], sheet_rows=3), [[number] for number in range(5)])
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert {sheet.title: [row[0].value for row in sheet.iter_rows()] for sheet in book} == {
        "Data": ["n", 0, 1],
        "Data 2": ["n", 2, 3],
        "Data 3": ["n", 4],
    }


def test_a_text_no_cell_can_hold_is_refused():
    with pytest.raises(TabularError) as caught:
        whole(XlsxWriter(["a"]), [["x" * 32_768]])
    assert caught.value.code == "cell_too_long"


@pytest.mark.parametrize("kind", list(Format))
async def test_a_stream_of_batches_is_the_same_file_as_one_batch(kind):
    rows = [[f"name {number}", number, None] for number in range(100)]

    async def batches():
        for start in range(0, 100, 7):
            yield rows[start : start + 7]

    pieces = [piece async for piece in stream_async(writer_for(kind, HEADER), batches())]
    content = b"".join(pieces)
    if kind is Format.XLSX:
        sheet = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]
        assert [list(row) for row in sheet.iter_rows(values_only=True)] == [HEADER, *rows]
    else:
        assert content == whole(writer_for(kind, HEADER), rows)
    if kind is Format.NDJSON:
        assert json.loads(content.splitlines()[99]) == {"name": "name 99", "note": 99, "phone": None}


@pytest.mark.parametrize("kind", list(Format))
def test_writing_three_hundred_thousand_rows_takes_flat_memory(kind):
    batch = [["孙悟空", "a note of some length", "+8613800138000"]] * 1_000
    size = 0
    tracemalloc.start()
    try:
        for piece in stream(writer_for(kind, HEADER), (batch for _ in range(300))):
            size += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (size > 100_000, peak < 8_000_000) == (True, True)


def test_the_failed_rows_file_holds_the_row_and_why_and_can_be_mended_and_imported():
    writer = FailedRowsWriter(["name", "line", "email"], excel=False)
    rows = [
        (
            3,
            ["=x", "B1", "nope"],
            [Fault("bad_email", "Not an e-mail address.", "email"), Fault("required", "Missing.", "name")],
        ),
        (5, ["only"], [Fault("ragged_row", "The row has 1 cells, the header 3.")]),
        (9, ["a", "b", "c", "d"], [Fault("ragged_row", "The row has 4 cells, the header 3.")]),
    ]
    text = (writer.start() + writer.write(rows) + writer.finish()).decode()
    assert list(csv.reader(io.StringIO(text))) == [
        ["name", "line", "email", "line (import)", "column", "code", "reason"],
        ["'=x", "B1", "nope", "3", "email; name", "bad_email; required", "Not an e-mail address.; Missing."],
        ["only", "", "", "5", "", "ragged_row", "The row has 1 cells, the header 3."],
        ["a", "b", "c | d", "9", "", "ragged_row", "The row has 4 cells, the header 3."],
    ]


@pytest.mark.parametrize(
    "columns", [["name", "code"], ["name", "line", "email"], ["line", "column", "code", "reason", "x"]]
)
def test_what_was_written_beside_failed_rows_is_told_from_their_own_columns(columns):
    once = FailedRowsWriter(columns, excel=False).start().decode().strip().split(",")
    twice = FailedRowsWriter(once, excel=False).start().decode().strip().split(",")
    assert [FailedRowsWriter.original(names) for names in (columns, once, twice)] == [columns] * 3
