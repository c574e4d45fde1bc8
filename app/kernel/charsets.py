"""Character sets that people write mails and business cards in."""

from __future__ import annotations

from typing import Final

# Those that people write in. Others of Python's decode slowly (punycode) or to what is no text (unicode_escape).
_CHARSETS: Final = (
    {name: name for name in ("gb18030", "big5", "iso-2022-jp", "euc-jp", "euc-kr", "koi8-r")}
    | {"utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "utf-8", "ascii": "utf-8"}
    | {"gb2312": "gb18030", "gbk": "gb18030"}  # the later set reads the earlier ones, too
    | {"shift-jis": "shift_jis"}
    | {f"iso-8859-{part}": f"iso-8859-{part}" for part in range(1, 17) if part != 12}
    | {f"{brand}125{page}": f"cp125{page}" for brand in ("windows-", "cp") for page in range(9)}
)


def codec_of(charset: str) -> str | None:
    """Python's codec for a character set that people write in; None for any other."""
    return _CHARSETS.get(charset.strip().lower().replace("_", "-"))
