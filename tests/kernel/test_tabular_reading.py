"""What people's files hold is read exactly, or refused with the place."""

import asyncio
import json
import tracemalloc
from pathlib import Path

import pytest

from app.kernel.tabular import (
    CsvReader,
    Fault,
    Format,
    Limits,
    NdjsonReader,
    Row,
    TabularError,
    in_batches,
    in_batches_async,
    open_table,
)
from app.kernel.tabular.detect import check_encoding, detect_delimiter, detect_encoding

CHINESE = "公司名称,姓名,手机\n悟空科技有限公司,孙悟空,13800138000\n花果山贸易,猪八戒,13900139000\n"


def write(folder: Path, content: bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def values(path: Path, **options) -> list[list[str | None]]:
    return [row.values for row in CsvReader(path, **options).rows()]


@pytest.mark.parametrize(
    ("codec", "mark", "found"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8", b"\xef\xbb\xbf", "utf-8-sig"),
        ("utf-16-le", b"\xff\xfe", "utf-16"),
        ("utf-16-be", b"\xfe\xff", "utf-16"),
        ("utf-16-le", b"", "utf-16-le"),
        ("utf-16-be", b"", "utf-16-be"),
        ("gb18030", b"", "gb18030"),
        ("gbk", b"", "gb18030"),
    ],
)
def test_the_encodings_that_spreadsheets_write_are_told_apart(tmp_path, codec, mark, found):
    path = write(tmp_path, mark + CHINESE.encode(codec))
    reader = CsvReader(path)
    assert reader.encoding == found
    assert reader.header.names == ("公司名称", "姓名", "手机")
    assert [row.values for row in reader.rows()] == [
        ["悟空科技有限公司", "孙悟空", "13800138000"],
        ["花果山贸易", "猪八戒", "13900139000"],
    ]


def test_ascii_with_some_nuls_is_no_utf_16(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"name,company\nA\x00,B\nC,D\n")
    reader = CsvReader(path)
    assert (reader.encoding, reader.header.names) == ("utf-8", ("name", "company"))
    assert [(row.line, row.fault and row.fault.code) for row in reader.rows()] == [(2, "nul"), (3, None)]
    path.write_bytes("姓名,公司\n张伟,北京\n".encode("utf-16-le"))
    assert CsvReader(path).encoding == "utf-16-le"


def test_a_mark_before_a_quoted_header_does_not_stick_to_the_name(tmp_path):
    for codec in ("utf-8-sig", "utf-16"):
        assert CsvReader(write(tmp_path, '"Name","City"\na,b\n'.encode(codec))).header.names == (
            "Name",
            "City",
        )


def test_chinese_after_a_long_ascii_beginning_is_still_found(tmp_path):
    rows = "".join(f"{number},plain text\n" for number in range(20_000))
    path = write(tmp_path, ("id,name\n" + rows + "1,悟空科技有限公司\n").encode("gb18030"))
    assert detect_encoding(path) == "gb18030"
    assert list(CsvReader(path).rows())[-1].values == ["1", "悟空科技有限公司"]


def test_western_text_is_refused_rather_than_read_as_chinese(tmp_path):
    path = write(tmp_path, "name,city\nMüller,Köln\nJosé,Málaga\n".encode("cp1252"))
    with pytest.raises(TabularError) as caught:
        CsvReader(path)
    assert (caught.value.code, caught.value.offset) == ("unknown_encoding", 11)
    assert values(path, encoding="cp1252") == [["Müller", "Köln"], ["José", "Málaga"]]


def test_an_encoding_nobody_knows_is_refused(tmp_path):
    with pytest.raises(TabularError) as caught:
        CsvReader(write(tmp_path, b"a,b\n"), encoding="klingon")
    assert caught.value.code == "unsupported_encoding"


@pytest.mark.parametrize("before", [10, 70_000, 1 << 20])
def test_a_byte_that_does_not_decode_is_named_by_offset_and_line(tmp_path, before):
    lines = b"name\n" + b"x" * (before - 1) + b"\n"
    path = write(tmp_path, lines + "名".encode() + b"\xff\xfeabc\n")
    with pytest.raises(TabularError) as caught:
        check_encoding(path, "utf-8-sig")
    assert (caught.value.code, caught.value.offset, caught.value.line) == ("undecodable", 5 + before + 3, 3)


def test_rows_before_a_wrong_byte_are_read_and_then_the_place_is_told(tmp_path):
    good = "".join(f"{number},名字\n" for number in range(50_000))
    path = write(tmp_path, ("id,name\n" + good).encode() + b"1,\xc0\xff\n")
    read = 0
    with pytest.raises(TabularError) as caught:  # noqa: PT012
        for _ in CsvReader(path).rows():
            read += 1
    assert read > 45_000
    assert (caught.value.code, caught.value.line) == ("undecodable", 50_002)


def test_a_cut_off_last_character_is_an_error(tmp_path):
    path = write(tmp_path, "name\n悟空".encode()[:-1])
    with pytest.raises(TabularError) as caught:
        list(CsvReader(path, encoding="utf-8").rows())
    assert (caught.value.code, caught.value.offset) == ("undecodable", 8)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_makes_columns(tmp_path, delimiter):
    text = delimiter.join(["name", "note", "amount"]) + "\n"
    text += "".join(delimiter.join([f"n{n}", '"a, b; c"', "1.5"]) + "\n" for n in range(5))
    path = write(tmp_path, text.encode())
    assert detect_delimiter(path, "utf-8") == delimiter
    assert values(path)[0] == ["n0", "a, b; c", "1.5"]


def test_decimal_commas_do_not_make_a_comma_file(tmp_path):
    assert values(write(tmp_path, b"name;amount\nx;1,50\ny;2,75\n")) == [["x", "1,50"], ["y", "2,75"]]


def test_the_separator_hint_of_excel_is_obeyed_and_not_a_header(tmp_path):
    reader = CsvReader(write(tmp_path, b"sep=;\r\na;b\r\n1;2\r\n"))
    assert (reader.header.names, [(row.line, row.values) for row in reader.rows()]) == (
        ("a", "b"),
        [(3, ["1", "2"])],
    )


def test_a_single_column_needs_no_delimiter(tmp_path):
    assert values(write(tmp_path, b"email\na@example.com\n")) == [["a@example.com"]]


def test_quoted_line_ends_stay_in_their_cell_and_lines_are_counted_physically(tmp_path):
    path = write(tmp_path, b'a,b\n"one\ntwo\r\nthree",x\n\n  \n4,"say ""hi"""\n')
    assert list(CsvReader(path).rows()) == [
        Row(0, 2, ["one\ntwo\r\nthree", "x"]),
        Row(1, 6, ["  "], Fault("ragged_row", "The row has 1 cells, the header 2.")),
        Row(2, 7, ["4", 'say "hi"']),
    ]


def test_ragged_rows_are_reported_with_their_line_and_the_rest_is_read(tmp_path):
    path = write(tmp_path, b"a,b,c\n1,2,3\n1,2\n1,2,3,4\n1,2,3,,\n,,\n4,5,6\n")
    rows = list(CsvReader(path).rows())
    assert [(row.number, row.line, row.values, row.fault and row.fault.code) for row in rows] == [
        (0, 2, ["1", "2", "3"], None),
        (1, 3, ["1", "2"], "ragged_row"),
        (2, 4, ["1", "2", "3", "4"], "ragged_row"),
        (3, 5, ["1", "2", "3"], None),
        (4, 7, ["4", "5", "6"], None),
    ]


def test_a_nul_and_an_overlong_cell_condemn_their_row_only(tmp_path):
    path = write(tmp_path, b"a,b\n1,x\x00y\n2," + b"z" * 11 + b"\n3,ok\n")
    rows = list(CsvReader(path, limits=Limits(field_chars=10)).rows())
    assert [(row.line, row.fault) for row in rows] == [
        (2, Fault("nul", "The cell contains a NUL character.", "b")),
        (3, Fault("field_too_long", "The cell has 11 characters; 10 are allowed.", "b")),
        (4, None),
    ]


def test_a_quote_that_is_never_closed_is_told_with_the_line_it_opens_on(tmp_path):
    for tail in (b"3,4\n" * 10, b"3,4\n" * 50_000):
        with pytest.raises(TabularError) as caught:
            list(CsvReader(write(tmp_path, b'a,b\n1,2\n5,"6\n' + tail)).rows())
        assert (caught.value.code, caught.value.line) == ("unclosed_quote", 3)


@pytest.mark.parametrize("body", [b"x" * 5_000, b'"\n",' * 1_000])
def test_a_record_without_end_is_refused_before_it_fills_memory(tmp_path, body):
    path = write(tmp_path, b"a,b\n" + body)
    with pytest.raises(TabularError) as caught:
        list(CsvReader(path, limits=Limits(record_chars=2_000)).rows())
    assert (caught.value.code, caught.value.line) == ("record_too_long", 2)


def test_headers_are_trimmed_named_and_made_unique(tmp_path):
    header = CsvReader(write(tmp_path, b" Name ,,Phone,Phone,Phone (2),,\n1,2,3,4,5,,\n")).header
    assert header.names == ("Name", "column_2", "Phone", "Phone (3)", "Phone (2)")
    assert [(fault.code, fault.column) for fault in header.faults] == [
        ("empty_header", "column_2"),
        ("duplicate_header", "Phone (3)"),
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b" \r\n\n", "empty_file"),
        (b",,,\n", "no_header"),
        (b"%PDF-1.7 ...", "wrong_file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", "old_excel"),
        (b"PK\x03\x04 not really", "wrong_file"),
        (b"\x89PNG\r\n\x1a\n", "wrong_file"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path, content, code):
    with pytest.raises(TabularError) as caught:
        open_table(write(tmp_path, content))
    assert caught.value.code == code


def test_too_many_rows_or_columns_are_refused(tmp_path):
    path = write(tmp_path, b"a,b\n1,2\n3,4\n5,6\n")
    with pytest.raises(TabularError) as caught:
        list(CsvReader(path, limits=Limits(rows=2)).rows())
    assert (caught.value.code, caught.value.line) == ("too_many_rows", 4)
    with pytest.raises(TabularError) as caught:
        CsvReader(path, limits=Limits(columns=1))
    assert caught.value.code == "too_many_columns"


def test_reading_resumes_at_a_row_number_as_if_it_had_never_stopped(tmp_path):
    text = "a,b\n" + "".join(f'{n},"x\n{n}"\n\n' if n % 3 else f"{n}\n" for n in range(100))
    reader = CsvReader(write(tmp_path, text.encode()))
    rows = list(reader.rows())
    assert len(rows) == 100
    for start in (0, 1, 37, 99, 100, 500):
        assert list(reader.rows(start)) == rows[start:]


async def test_batches_come_from_a_thread_and_the_rows_before_an_error_are_not_lost(tmp_path):
    text = b"a,b\n" + b"1,2\n" * 25 + b'3,"4\n'
    reader = CsvReader(write(tmp_path, text))
    sizes = []
    with pytest.raises(TabularError) as caught:  # noqa: PT012
        async for batch in in_batches_async(reader, 10):
            sizes.append(len(batch))
    assert (sizes, caught.value.code) == ([10, 10, 5], "unclosed_quote")
    assert [len(batch) for batch in in_batches(CsvReader(write(tmp_path, text[:44])).rows(), 4)] == [4, 4, 2]


def test_json_lines_keep_digits_and_tell_what_is_wrong(tmp_path):
    lines = [
        '{"name": "悟空", "amount": 1.50, "big": 12345678901234567890, "vip": true}',
        "",
        '{"name": null, "tags": ["a", 1]}',
        "[1]",
        '{"name": NaN}',
        "{" + '"a":{' * 100_000,
        '{"name": ""}',
    ]
    path = write(tmp_path, "\n".join(lines).encode(), "x.ndjson")
    reader = open_table(path)
    assert (reader.format, reader.header.names) == (Format.NDJSON, ("name", "amount", "big", "vip", "tags"))
    rows = list(reader.rows())
    assert [row.values for row in rows] == [
        ["悟空", "1.50", "12345678901234567890", "true", None],
        [None, None, None, None, '["a",1]'],
        [],
        [],
        [],
        [None] * 5,
    ]
    assert [row.line for row in rows] == [1, 3, 4, 5, 6, 7]
    assert [row.fault and row.fault.code for row in rows] == [
        None,
        None,
        "bad_json",
        "bad_json",
        "bad_json",
        None,
    ]
    assert list(reader.rows(4)) == rows[4:]


def test_a_field_that_appears_late_is_reported_not_dropped(tmp_path):
    text = "".join(json.dumps({"a": n}) + "\n" for n in range(1_000)) + '{"a": 1, "b": 2}\n'
    last = list(NdjsonReader(write(tmp_path, text.encode())).rows())[-1]
    assert last.fault == Fault("unknown_field", 'The field "b" is in none of the first rows.', "b")


def test_memory_stays_flat_over_three_hundred_thousand_rows(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("id,name,company,email,phone\n")
        for number in range(300_000):
            file.write(f'{number},孙悟空 {number},"Monkey, Ltd",wukong{number}@example.com,+8613800138000\n')
    reader = CsvReader(path)
    tracemalloc.start()
    try:
        count = sum(len(batch) for batch in in_batches(reader.rows(), 1_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (count, peak < 4_000_000) == (300_000, True)


def test_the_loop_turns_while_a_file_is_parsed(tmp_path):
    reader = CsvReader(write(tmp_path, b"a\n" + b"1\n" * 20_000))

    async def main() -> tuple[int, int]:
        ticks = rows = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(tick())
        async for batch in in_batches_async(reader, 1_000):
            rows += len(batch)
        task.cancel()
        return rows, ticks

    rows, ticks = asyncio.run(main())
    assert rows == 20_000
    assert ticks > 20
