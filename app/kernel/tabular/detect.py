"""Finding out what a file is from its bytes: format, text encoding, delimiter.

Nothing is guessed silently: a text whose encoding is in doubt is refused with the place of the first byte
that does not fit, because a wrong guess writes garbage names into a company's data.
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from itertools import islice
from pathlib import Path

from app.kernel.tabular.model import Format, TabularError

HEAD_BYTES = 65_536
DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "gb18030",
    "big5",
    "shift_jis",
    "euc_kr",
    "cp1252",
)
"""What a caller may ask for by name; detection itself answers with one of the first seven."""

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = b"PK\x03\x04"
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format 3", "a database"),
)


def detect_format(path: Path) -> Format:
    """The format by content; the name of the file is not trusted.

    Raises: TabularError `empty_file`, `old_excel` (also an encrypted workbook), `wrong_file`.
    """
    head = _head(path)
    if not head.strip(b"\x00\r\n\t \xef\xbb\xbf\xff\xfe"):
        raise TabularError("empty_file", "The file is empty.", offset=0)
    if head.startswith(_ZIP):
        return Format.XLSX
    if head.startswith(_OLE):
        raise TabularError(
            "old_excel", "This is an old .xls or a password-protected workbook; save it as .xlsx or .csv."
        )
    for mark, name in _OTHERS:
        if head.startswith(mark):
            raise TabularError("wrong_file", f"This is {name}, not a CSV, XLSX or NDJSON file.")
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    return Format.NDJSON if start[:1] == b"{" and start[1:].lstrip()[:1] in (b'"', b"}") else Format.CSV


def detect_encoding(path: Path) -> str:
    """The Python name of the file's encoding.

    A byte order mark decides; then UTF-16 by the position of zero bytes; then UTF-8 if it decodes; then
    GB18030 if what it gives is Chinese as people write it. The bytes looked at are the first 64 kB and, while
    those are plain ASCII, the first that are not.

    Raises: TabularError `unknown_encoding` with the offset of the first byte that is not UTF-8.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                return encoding
        if wide := _utf16(head):
            return wide
        sample, offset = head, 0
        while sample and sample.isascii():
            offset += len(sample)
            sample = file.read(HEAD_BYTES)
        sample += file.read(HEAD_BYTES)
        last = not file.read(1)
    return _narrow(sample, offset, last=last)


def _narrow(sample: bytes, offset: int, *, last: bool) -> str:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, last)
    except UnicodeDecodeError as error:
        if _is_chinese(sample, last=last):
            return "gb18030"
        wrong = offset + error.start
        raise TabularError(
            "unknown_encoding",
            f"The text is neither UTF-8, UTF-16 nor GB18030 (byte {sample[error.start]:#04x} at {wrong}). "
            "Save the file as UTF-8, or name its encoding.",
            offset=wrong,
        ) from None
    return "utf-8"


def _is_chinese(sample: bytes, *, last: bool) -> bool:
    """GB18030 accepts much that is Latin-1; Chinese text lies mostly in GB2312, where both bytes are ≥
    0xA1."""
    try:
        text = codecs.getincrementaldecoder("gb18030")().decode(sample, last)
    except UnicodeDecodeError:
        return False
    wide = [character for character in text if character > "\x7f"]
    common = 0
    for character, times in Counter(wide).items():
        code = character.encode("gb18030", "replace")
        if len(code) == 2 and code[0] >= 0xA1 and code[1] >= 0xA1 and not "\ue000" <= character <= "\uf8ff":
            common += times
    return common >= 0.7 * len(wide)


def _utf16(head: bytes) -> str | None:
    even, odd = head[0::2], head[1::2]
    units = len(odd)
    if units < 2:
        return None
    for encoding, high, low in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        # ASCII has its zero byte in the high half; a text without delimiter or line end is no table.
        if high.count(0) * 50 < units or low.count(0) * 10 > high.count(0):
            continue
        if head.isascii() and high.count(0) * 2 < units:
            continue  # ASCII with some NULs in it; what is no ASCII has bytes above it
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(head, False)
        except UnicodeDecodeError:
            continue
        if any(mark in text for mark in (*DELIMITERS, "\n", "\r")):
            return encoding
    return None


def known_encoding(name: str) -> str:
    """The entry of `ENCODINGS` that `name` (any spelling Python knows) stands for.

    Raises: TabularError `unsupported_encoding`.
    """
    spelling = name.strip().lower().replace("_", "-")
    aliases = {
        "gbk": "gb18030",
        "gb2312": "gb18030",
        "cp936": "gb18030",
        "utf8": "utf-8-sig",
        "utf-8": "utf-8-sig",
        "shift-jis": "shift_jis",
        "euc-kr": "euc_kr",
        "windows-1252": "cp1252",
    }
    found = aliases.get(spelling, spelling)
    if found not in ENCODINGS:
        raise TabularError(
            "unsupported_encoding", f'The encoding "{name}" is not one of {", ".join(ENCODINGS)}.'
        )
    return found


def check_encoding(path: Path, encoding: str) -> None:
    """Decode the whole file, in flat memory.

    Raises: TabularError `undecodable` with the absolute byte offset and the line of the first wrong byte.
    """
    encoding = _marked(path, encoding)
    decoder = codecs.getincrementaldecoder(encoding)()
    consumed, line = 0, 1
    with path.open("rb") as file:
        while True:
            chunk = file.read(1 << 20)
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(chunk, not chunk)
            except UnicodeDecodeError as error:
                offset = consumed - pending + error.start
                before = error.object[: error.start].decode(encoding, "ignore")
                raise _undecodable(
                    encoding, offset, line + before.count("\n"), error.object[error.start]
                ) from None
            line += text.count("\n")
            consumed += len(chunk)
            if not chunk:
                return


def _marked(path: Path, encoding: str) -> str:
    """The codec that gives the mark at the start as a character, so that offsets in its errors count it."""
    if encoding == "utf-8-sig":
        return "utf-8"
    if encoding in ("utf-16", "utf-32"):
        return encoding + ("-be" if _head(path)[:1] in (b"\xfe", b"\x00") else "-le")
    return encoding


def _undecodable(encoding: str, offset: int, line: int, byte: int) -> TabularError:
    return TabularError(
        "undecodable",
        f"Line {line} is not valid {encoding}: byte {byte:#04x} at offset {offset}.",
        line=line,
        offset=offset,
    )


def detect_delimiter(path: Path, encoding: str) -> str:
    """The delimiter whose columns fit best over the first lines; a comma where there is but one column.

    Excel's `sep=;` in the first line decides.
    """
    text = codecs.getincrementaldecoder(encoding)("replace").decode(_head(path), False).lstrip("\ufeff")
    if text[:4].lower() == "sep=" and text[4:5] in DELIMITERS and text[5:6] in ("\r", "\n"):
        return text[4]
    lines = text.splitlines(keepends=True)
    if len(lines) > 1 and len(text) >= HEAD_BYTES // 4:
        lines.pop()  # cut off by the end of the sample
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        if (score := _fit(lines, delimiter)) > best_score:
            best, best_score = delimiter, score
    return best


def _fit(lines: list[str], delimiter: str) -> tuple[float, int]:
    """The share of rows as wide as the header, and that width; nothing for a single column."""
    try:
        widths = [len(row) for row in islice(csv.reader(lines, delimiter=delimiter), 100) if row]
    except csv.Error:
        return 0.0, 0
    if not widths or widths[0] < 2:
        return 0.0, 0
    return round(widths.count(widths[0]) / len(widths), 2), widths[0]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)
