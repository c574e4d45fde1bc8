"""A workbook is read as a person sees it, and cannot harm the reader."""

import struct
import zipfile
from datetime import date, datetime, time, timedelta
from pathlib import Path

import openpyxl
import pytest

from app.kernel.tabular import Fault, Format, Limits, TabularError, XlsxReader, XlsxWriter, open_table, stream

SHEET = "xl/worksheets/sheet1.xml"
# a workbook's times have no zone
MOMENT = datetime.fromisoformat("2026-03-01T08:30:05")
MIDNIGHT = datetime.fromisoformat("1999-12-31T00:00:00")
LATE = datetime.fromisoformat("2026-01-01T23:59:59")


@pytest.fixture(params=[1_500_000, 0], ids=["calamine", "openpyxl"])
def eager(request) -> int:
    return int(request.param)


def saved(folder: Path, rows, **more) -> Path:
    book = openpyxl.Workbook(write_only=True)
    for name, other in {"First": rows, **more}.items():
        sheet = book.create_sheet(name)
        for row in other:
            sheet.append(row)
    path = folder / "book.xlsx"
    book.save(path)
    return path


def plain(folder: Path) -> Path:
    path = folder / "plain.xlsx"
    path.write_bytes(b"".join(stream(XlsxWriter(["a", "b"]), [[["1", "2"]]])))
    return path


def with_part(source: Path, name: str, content: bytes) -> Path:
    """`source` with one part replaced or added."""
    target = source.with_name("changed.xlsx")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.namelist():
            if entry != name:
                new.writestr(entry, old.read(entry))
        new.writestr(name, content)
    return target


def test_typed_cells_become_the_text_a_person_would_write(tmp_path, eager):
    path = saved(
        tmp_path,
        [
            ["int", "float", "whole", "large", "date", "moment", "time", "span", "yes", "text", "error"],
            [
                42,
                0.1 + 0.2,
                1299.0,
                13800138000,
                date(2026, 3, 1),
                MOMENT,
                time(9, 15),
                timedelta(hours=30),
                True,
                "007",
                "#N/A",
            ],
            [
                -7,
                1e-7,
                -0.5,
                1e20,
                MIDNIGHT,
                LATE,
                time(0, 0, 1),
                timedelta(minutes=5),
                False,
                "悟空",
                None,
            ],
        ],
    )
    rows = list(XlsxReader(path, eager_cells=eager).rows())
    assert [row.values for row in rows] == [
        [
            "42",
            "0.3",
            "1299",
            "13800138000",
            "2026-03-01",
            "2026-03-01T08:30:05",
            "09:15:00",
            "30:00:00",
            "true",
            "007",
            None,
        ],
        [
            "-7",
            "0.0000001",
            "-0.5",
            "100000000000000000000",
            "1999-12-31",
            "2026-01-01T23:59:59",
            "00:00:01",
            "00:05:00",
            "false",
            "悟空",
            None,
        ],
    ]
    assert [(row.line, row.fault) for row in rows] == [(2, None), (3, None)]


def test_the_first_or_the_named_sheet_is_read(tmp_path, eager):
    path = saved(tmp_path, [["a"], ["1"]], Leads=[["b"], ["2"], ["3"]])
    assert XlsxReader(path, eager_cells=eager).header.names == ("a",)
    reader = XlsxReader(path, sheet="Leads", eager_cells=eager)
    assert (reader.sheets, [row.values for row in reader.rows()]) == (["First", "Leads"], [["2"], ["3"]])
    with pytest.raises(TabularError) as caught:
        XlsxReader(path, sheet="Nope")
    assert (caught.value.code, caught.value.message) == (
        "no_sheet",
        'There is no sheet "Nope"; there are "First", "Leads".',
    )


def test_a_hidden_sheet_is_read_only_when_it_is_named(tmp_path, eager):
    book = openpyxl.Workbook()
    book["Sheet"].append(["lookup"])
    book["Sheet"].sheet_state = "hidden"
    book.create_sheet("Leads").append(["name"])
    book.active = 1
    book.save(tmp_path / "book.xlsx")
    assert XlsxReader(tmp_path / "book.xlsx", eager_cells=eager).header.names == ("name",)
    assert XlsxReader(tmp_path / "book.xlsx", sheet="Sheet", eager_cells=eager).header.names == ("lookup",)


def test_blank_rows_are_passed_over_and_lines_are_sheet_rows(tmp_path, eager):
    path = saved(
        tmp_path,
        [[], [None, "a", "b"], [], [None, 1], [None, None, None], [None, 2, 3, "extra"], [None, 4, 5]],
    )
    reader = XlsxReader(path, eager_cells=eager)
    assert (reader.header.names, reader.header.line) == (("column_1", "a", "b"), 2)
    rows = list(reader.rows())
    assert [(row.number, row.line, row.values) for row in rows] == [
        (0, 4, [None, "1", None]),
        (1, 6, [None, "2", "3", "extra"]),
        (2, 7, [None, "4", "5"]),
    ]
    assert rows[1].fault == Fault("ragged_row", "The row has 4 cells, the header 3.")
    assert list(reader.rows(2)) == rows[2:]


def test_the_format_is_told_by_content_not_by_name(tmp_path):
    path = plain(tmp_path).rename(tmp_path / "list.csv")
    assert open_table(path).format is Format.XLSX
    with pytest.raises(TabularError) as caught:
        open_table(path, expected=Format.CSV)
    assert caught.value.code == "wrong_format"


def test_a_zip_that_is_no_workbook_is_refused(tmp_path):
    path = tmp_path / "x.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(TabularError) as caught:
        XlsxReader(path)
    assert (caught.value.code, caught.value.message) == (
        "wrong_file",
        "This is a zip archive, but not an XLSX workbook.",
    )


@pytest.mark.parametrize("part", ["xl/workbook.xml", SHEET])
@pytest.mark.parametrize("content", [b"", b"<", b"\x00\xff", b"<worksheet><sheetData><row><c", b"<a/>"])
def test_a_damaged_workbook_is_an_error_and_never_a_crash(tmp_path, part, content, eager):
    path = with_part(plain(tmp_path), part, content)
    with pytest.raises(TabularError) as caught:
        list(XlsxReader(path, eager_cells=eager).rows())
    assert caught.value.code in {"wrong_file", "malformed", "no_header", "no_sheet"}


def test_a_cut_off_workbook_is_an_error(tmp_path):
    whole = plain(tmp_path).read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 10):
        path = tmp_path / "cut.xlsx"
        path.write_bytes(whole[:length])
        with pytest.raises(TabularError) as caught:
            XlsxReader(path)
        assert caught.value.code == "wrong_file"


def test_a_bomb_by_ratio_is_refused_before_it_is_unpacked(tmp_path):
    path = with_part(plain(tmp_path), SHEET, b"<worksheet>" + b" " * 50_000_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(TabularError) as caught:
        XlsxReader(path)
    assert (caught.value.code, caught.value.message) == (
        "zip_bomb",
        "The workbook unpacks to more than 200 times its size.",
    )


def test_a_bomb_by_size_or_by_number_of_parts_is_refused(tmp_path):
    path = with_part(plain(tmp_path), "xl/media/x", bytes(range(256)) * 4_000)
    with pytest.raises(TabularError) as caught:
        XlsxReader(path, limits=Limits(xlsx_bytes=1_000_000))
    assert caught.value.code == "zip_bomb"
    with pytest.raises(TabularError) as caught:
        XlsxReader(path, limits=Limits(xlsx_entries=5))
    assert (caught.value.code, caught.value.message) == (
        "zip_bomb",
        "The workbook has 6 parts; 5 are allowed.",
    )


def test_a_bomb_that_lies_about_its_size_is_found_out(tmp_path):
    path = with_part(plain(tmp_path), SHEET, b" " * 5_000_000)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 100)))
    with pytest.raises(TabularError) as caught:
        XlsxReader(path)
    assert (caught.value.code, caught.value.message) == (
        "zip_bomb",
        'The part "xl/worksheets/sheet1.xml" is larger than the archive claims.',
    )


def test_two_cells_at_opposite_corners_do_not_take_all_memory(tmp_path):
    book = openpyxl.load_workbook(plain(tmp_path))
    book.active["XFD1048576"] = "far"
    path = tmp_path / "sparse.xlsx"
    book.save(path)
    assert path.stat().st_size < 10_000
    with pytest.raises(TabularError) as caught:
        XlsxReader(path)
    assert caught.value.code == "sheet_too_large"


@pytest.mark.parametrize("jump", ["", ' r="1048576"', """ x='>' r = '1048576'"""])
def test_cells_without_references_do_not_hide_a_huge_rectangle(tmp_path, jump):
    wide = "<row>" + "<c><v>1</v></c>" * 16_000 + "</row>"
    tall = "<row><c><v>1</v></c></row>" * 20_000
    last = f"<row{jump}><c><v>1</v></c></row>"
    sheet = f'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{wide}{tall}{last}'
    path = with_part(plain(tmp_path), SHEET, (sheet + "</sheetData></worksheet>").encode())
    with pytest.raises(TabularError) as caught:
        XlsxReader(path)
    assert caught.value.code == "sheet_too_large"


def test_entities_are_not_expanded_without_bound(tmp_path, eager):
    entities = '<!ENTITY e0 "lollollollol">'
    entities += "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    sheet = (
        f'<?xml version="1.0"?><!DOCTYPE worksheet [{entities}]>'
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        '<row r="1"><c r="A1" t="inlineStr"><is><t>name</t></is></c></row>'
        '<row r="2"><c r="A2" t="inlineStr"><is><t>x&e11;</t></is></c></row></sheetData></worksheet>'
    )
    path = with_part(plain(tmp_path), SHEET, sheet.encode())
    with pytest.raises(TabularError) as caught:
        list(XlsxReader(path, eager_cells=eager).rows())
    assert caught.value.code == "malformed"


def test_a_workbook_too_big_for_memory_is_read_as_a_stream_with_equal_rows(tmp_path):
    rows = [[f"name {n}", n, n / 4, date(2026, 1, 1 + n % 28), n % 2 == 0, None] for n in range(2_000)]
    path = saved(tmp_path, [["a", "b", "c", "d", "e", "f"], *rows])
    assert list(XlsxReader(path, eager_cells=0).rows()) == list(XlsxReader(path).rows())
