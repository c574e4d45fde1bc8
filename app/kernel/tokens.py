"""Search tokens: what a record is found by, as a `text[]` under one GIN index.

A query is answered by `found_by(query)`: every token of the query must be among the record's. So the work is
done when a record is written, and one index serves Latin names by prefix, Chinese names by character, by
pinyin and by initials, e-mail addresses by part, and telephone numbers by their last digits.

How a record's tokens are made (at most `MAX_TOKENS`, most useful first; what does not fit is left out):

- Latin and other alphabetic words: their prefixes of 2 to 10 letters, so `acm` finds `Acme GmbH`;
- Chinese, Japanese and Korean runs: single characters (the first six) and pairs of neighbours;
- Chinese runs, in addition: pinyin of every stretch, cut at 10 letters (`sunwukong`, `wukong`, `kong`), and
  the initials of stretches (`swk`, `wk`). Surnames are read as surnames, some characters in two ways;
- e-mail addresses: the whole, the words of the local part, the labels of the domain but the last; what looks
  like a complete address is looked up whole;
- telephone numbers: the last 4, 7, 8 and 11 digits; other lengths are looked up by the next shorter one, and the
  few that have it are looked at.

Since everything alphabetic is cut at 10 letters on both sides, a longer query matches by its first ten.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from app.kernel.contact import phone_digits

MAX_TOKENS: Final = 64
"""Tokens of one record; typical are 20 for a Latin lead and 45 for a Chinese one with a company."""

_MAX_CONTACT: Final = 2  # e-mail addresses and numbers of one record that are searched
_CUT: Final = 10
_ENDINGS: Final = (11, 8, 7, 4)  # digits at the end of a number that are tokens
_MAX_TEXT: Final = 400
_SINGLES: Final = 6
_MAX_PAIRS: Final = 24
_MAX_SYLLABLES: Final = 8
_MAX_READINGS: Final = 4
_QUERY_TOKENS: Final = 12

_HAN: Final = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CJK: Final = f"{_HAN}\u3041-\u3096\u30a1-\u30fa\u30fc\uac00-\ud7a3"
_WORD: Final = re.compile(r"[a-z0-9]+")
_PIECE: Final = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")
_GAP: Final = re.compile(rf"(?<=[{_CJK}])[\s·・]+(?=[{_CJK}])")
_HAN_ONLY: Final = re.compile(rf"[{_HAN}]+")
_STARTS_CJK: Final = re.compile(f"[{_CJK}]")
_AS_IT_IS: Final = re.compile("[\u4e00-\u9fff]+")  # characters that folding leaves alone
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@.]+")
_DOMAIN: Final = re.compile(r"(?:https?://)?((?:[^\s@./]+\.)+)[^\s@./]{2,}/?")
_NUMBER: Final = re.compile(r"\+?[0-9 ()./-]*[0-9][0-9 ()./-]*")
_NUMBER_STARTS: Final = frozenset("+(0123456789")
_SPECIAL: Final = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "ı": "i",
        "'": "",
        "’": "",
        "ʼ": "",
    }
)

# What companies are called after their own name; nobody searches for them by sound.
_GENERIC: Final = re.compile(
    "(?:股份|集团|控股)*(?:有限责任公司|有限公司|股份公司|公司|集团|責任有限公司|集團|工作室|事务所|合伙企业)$"
)
_PLACES: Final = re.compile(
    "(?:北京|上海|天津|重庆|重慶|深圳|广州|廣州|杭州|南京|苏州|蘇州|成都|武汉|武漢|西安|长沙|长春|郑州|青岛|大连|"
    "宁波|厦门|无锡|合肥|福州|济南|沈阳|昆明|佛山|东莞|珠海|中山|南昌|南宁|贵阳|太原|兰州|海口|温州|常州|"
    "河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|"
    "陕西|甘肃|青海|台湾|台灣|内蒙古|广西|西藏|宁夏|新疆|香港|澳门|中国|中國)[省市]?"
)
_DOUBLE_SURNAMES: Final = {
    "尉迟": ("yu", "chi"), "尉遲": ("yu", "chi"), "万俟": ("mo", "qi"), "澹台": ("tan", "tai"),
    "长孙": ("zhang", "sun"), "長孫": ("zhang", "sun"), "单于": ("chan", "yu"), "宇文": ("yu", "wen"),
}  # fmt: skip
_SURNAMES: Final = {
    "单": "shan", "單": "shan", "仇": "qiu", "解": "xie", "区": "ou", "區": "ou", "查": "zha", "朴": "piao",
    "盖": "ge", "蓋": "ge", "曾": "zeng", "任": "ren", "华": "hua", "華": "hua", "翟": "zhai", "覃": "qin",
    "缪": "miao", "繆": "miao", "员": "yun", "乐": "yue", "樂": "yue", "种": "chong", "召": "shao",
    "黑": "he", "繁": "po", "冼": "xian", "洗": "xian", "宓": "mi", "尹": "yin", "秘": "bi", "那": "na",
    "晟": "cheng", "纪": "ji", "紀": "ji", "卜": "bu", "逄": "pang", "逯": "lu", "郇": "xun", "隗": "wei",
    "燕": "yan", "应": "ying", "宁": "ning", "盛": "sheng", "石": "shi", "车": "che", "褚": "chu",
    "谌": "chen", "折": "she", "呙": "guo", "牟": "mou", "祭": "zhai", "乜": "nie", "郗": "xi", "尉": "wei",
    "句": "gou", "能": "nai",
}  # fmt: skip
# Characters that people in names and companies read in more than one way.
_ALSO: Final = {
    "长": ("chang", "zhang"), "長": ("chang", "zhang"), "乐": ("le", "yue"), "樂": ("le", "yue"),
    "行": ("xing", "hang"), "重": ("zhong", "chong"), "朝": ("chao", "zhao"), "曾": ("zeng", "ceng"),
    "单": ("dan", "shan"), "單": ("dan", "shan"), "传": ("chuan", "zhuan"), "傳": ("chuan", "zhuan"),
    "茜": ("qian", "xi"), "晟": ("sheng", "cheng"), "莘": ("xin", "shen"), "盛": ("sheng", "cheng"),
    "藏": ("cang", "zang"), "沈": ("shen", "chen"), "贾": ("jia", "gu"), "宓": ("mi", "fu"),
    "都": ("du", "dou"), "柏": ("bai", "bo"), "薄": ("bo", "bao"), "翟": ("zhai", "di"),
    "石": ("shi", "dan"), "厦": ("xia", "sha"), "廈": ("xia", "sha"), "参": ("can", "shen"),
    "蔚": ("wei", "yu"), "尉": ("wei", "yu"), "鸟": ("niao",), "省": ("sheng", "xing"),
}  # fmt: skip


def fold(text: str) -> str:
    """`text` as it is compared: NFKC, case-folded, without accents on Latin, Greek and Cyrillic letters and
    without apostrophes, blanks made single. Simplified and traditional characters stay what they are."""
    if text.isascii():
        return " ".join(text.lower().replace("'", "").split())
    if _AS_IT_IS.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_SPECIAL)
    bare = "".join(c for c in unicodedata.normalize("NFD", plain) if not "\u0300" <= c <= "\u036f")
    return " ".join(unicodedata.normalize("NFC", bare).split())


def squeeze(text: str) -> str:
    """`fold(text)` with only letters, digits and marks left; what a query's recheck is looked up in."""
    return "".join(c for c in fold(text) if c.isalnum() or unicodedata.category(c).startswith("M"))


def name_tokens(*texts: str) -> list[str]:
    """The tokens of a record's texts, without doubles, most useful first; see the module for the scheme.

    A text that is an e-mail address or a telephone number as a whole is taken as one, the first two of each.
    Give a Chinese name whole (surname and given name together), or `孙悟空` is not found in `孙` and `悟空`.
    """
    names: list[str] = []
    emails: list[str] = []
    phones: list[str] = []
    for text in texts:
        if "@" in text and _EMAIL.fullmatch(text):
            emails.append(text)
        elif text[:1] in _NUMBER_STARTS and _NUMBER.fullmatch(text) and len(phone_digits(text)) >= 7:
            phones.append(text)
        else:
            names.append(text)
    return record_tokens(names, emails=emails, phones=phones)


def email_tokens(address: str) -> list[str]:
    """The whole folded address, the words of its local part and the labels of its domain but the last."""
    folded = fold(address)
    found = [folded] if folded.isprintable() and folded else []
    begins_last = folded.rfind(".")
    words = _words(folded[:begins_last] if begins_last > folded.find("@") else folded.partition("@")[0])
    found += [word[:_CUT] for word in words if len(word) > 1]
    return list(dict.fromkeys(found))


def phone_tokens(number: str) -> list[str]:
    """The last 11, 8, 7 and 4 digits of a number, E.164 or as typed, as far as it has so many; shorter ones whole."""
    digits = phone_digits(number)
    if len(digits) < _ENDINGS[-1]:
        return [digits] if digits else []
    return [digits[-length:] for length in _ENDINGS if length <= len(digits)]


def record_tokens(
    names: Iterable[str | None] = (),
    *,
    emails: Iterable[str | None] = (),
    phones: Iterable[str | None] = (),
) -> list[str]:
    """The tokens of one record, at most `MAX_TOKENS`; empty fields are passed over.

    The first two addresses and numbers come in full, and the names share the rest in order.
    """
    found: list[str] = []
    for address in [text for text in emails if text][:_MAX_CONTACT]:
        found += email_tokens(address)
    for number in [text for text in phones if text][:_MAX_CONTACT]:
        found += phone_tokens(number)
    for name in names:
        if name:
            found += _text_tokens(name[:_MAX_TEXT])
    return list(dict.fromkeys(found))[:MAX_TOKENS]


def texts_of(values: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The texts in some columns of a row, those of lists one by one; empty ones are passed over."""
    found: list[str] = []
    for name in names:
        value = values.get(name)
        found += value if isinstance(value, list) else [value] if value else []
    return found


def query_tokens(text: str) -> tuple[list[str], str]:
    """What `text` asks for: tokens that must all be there, and a text for a recheck.

    No tokens means nothing that can be searched for: answer with nothing, not with everything. The second is
    "" where the tokens alone decide; otherwise (a Chinese run of three or more, an unfinished e-mail address, the
    end of a number) it must occur in `squeeze` of the record's own texts: pairs say nothing about their order.
    """
    folded = fold(text[:_MAX_TEXT])
    number = _number_token(folded)
    if number:
        ending = next(number[-length:] for length in _ENDINGS if length <= len(number))
        return [ending], "" if ending == number else number
    tokens: dict[str, None] = {}
    recheck = ""
    for chunk in folded.split():
        if _EMAIL.fullmatch(chunk):
            tokens[chunk] = None
            continue
        domain = _DOMAIN.fullmatch(chunk)
        if "@" in chunk:
            recheck = max(recheck, squeeze(chunk), key=len)
            chunk = chunk.partition("@")[0] or chunk.partition("@")[2].partition(".")[0]
        elif domain:
            chunk = domain[1]
        for piece in _PIECE.findall(chunk):
            if not _is_cjk(piece):
                tokens[piece[:_CUT]] = None
            elif len(piece) == 1:
                tokens[piece] = None
            else:
                tokens.update(dict.fromkeys(piece[i : i + 2] for i in range(min(len(piece) - 1, 8))))
                recheck = max(recheck, piece if len(piece) > 2 else "", key=len)
    wanted = [token for token in tokens if len(token) > 1 or _is_cjk(token)] or list(tokens)
    return wanted[:_QUERY_TOKENS], recheck


def found_by(tokens: str) -> str:
    """SQL that is true for the records `t` with all of the tokens (SQL of a `text[]`), as their index is told (0358).

    `$1` is the tenant. It reaches the index behind a read view only. Where rows are read anyway, `t.tokens @>` is
    cheaper. It says the same twice: the planner cannot know that keys are of one tenant, and would look up all
    records of the tenant besides, were it not told to expect few (measured: 230 ms of 260).
    """
    held, wanted = "kernel.search_keys(t.tenant_id, t.tokens)", f"kernel.search_keys($1::uuid, {tokens})"
    return f"({held} @> {wanted} AND {held} && {wanted})"


def pieces_of(text: str) -> Iterator[tuple[int, int, bool]]:
    """Where the words of a text lie, and its Chinese, Japanese and Korean runs: start, end, whether it is a run."""
    for found in _PIECE.finditer(text):
        yield found.start(), found.end(), _is_cjk(found[0])


def _number_token(folded: str) -> str:
    """The last digits that a telephone number is looked up by, or "" if the query is no number.

    A trunk or international 0 in front is dropped from nine digits on, where it cannot be a suffix as typed.
    """
    if not _NUMBER.fullmatch(folded):
        return ""
    digits = "".join(filter(str.isdigit, folded))
    if len(digits) < 4 or (len(digits) < 7 and " " in folded):
        return ""
    if len(digits) >= 9 and digits.startswith("0"):
        digits = digits.lstrip("0") or digits
    return digits[-11:]


def _is_cjk(piece: str) -> bool:
    return not piece.isascii() and _STARTS_CJK.match(piece) is not None


def _words(folded: str) -> list[str]:
    return _WORD.findall(folded) if folded.isascii() else _PIECE.findall(folded)


@lru_cache(maxsize=1_024)
def _prefixes(word: str) -> tuple[str, ...]:
    if len(word) < 3:
        return (word,)
    return tuple([word[:length] for length in range(min(len(word), _CUT), 1, -1)])


def _text_tokens(text: str) -> Iterable[str]:
    """The tokens of one text."""
    if text.isascii():
        words = _WORD.findall(text.lower().replace("'", ""))
        return chain.from_iterable(map(_prefixes, words))
    return _mixed_tokens(text).split()


@lru_cache(maxsize=2_048)
def _mixed_tokens(text: str) -> str:
    """Those of a text that is not of plain letters alone, joined: apart, they are fifty objects and 3 kB."""
    tokens: list[str] = []
    for piece in _PIECE.findall(_joined(fold(text))):
        tokens += _run_tokens(piece) if _is_cjk(piece) else _prefixes(piece)
    return " ".join(tokens)


def _joined(folded: str) -> str:
    """Chinese names typed with a blank inside (`张 三`) as one run; longer texts keep their gaps."""
    without = _GAP.sub("", folded)
    return without if len(without) <= 6 else folded


def _run_tokens(run: str) -> tuple[str, ...]:
    pairs = [run[i : i + 2] for i in range(min(len(run) - 1, _MAX_PAIRS))]
    tokens = [*pairs, *run[:_SINGLES]]
    if _HAN_ONLY.fullmatch(run):
        tokens += _sound_tokens(run)
    return tuple(dict.fromkeys(tokens))


def _sound_tokens(run: str) -> list[str]:
    """Pinyin and initials of the stretches of a run: the brand after a place name first, then the start."""
    core = _GENERIC.sub("", run) or run
    place = _PLACES.match(core)
    brand = place.end() if place and place.end() < len(core) else 0
    core = core[: brand + _MAX_SYLLABLES]
    usual = _usual_reading(core[:brand]) + _usual_reading(core[brand:])
    if len(usual) != len(core):  # characters so rare that they have no reading
        return _starting(usual, _CUT)
    readings = _readings(core[brand:], usual[brand:])
    tokens = _starting(readings[0], _CUT)
    if usual != readings[0]:
        tokens += _starting(usual, _CUT)
    for syllables in readings:
        if syllables is not readings[0]:
            tokens += _starting(syllables, _CUT)
        for start in range(1, len(syllables)):
            tokens += _starting(syllables[start:], 4)
    return tokens


def _starting(syllables: tuple[str, ...], longest: int) -> list[str]:
    """Pinyin of each stretch from the start, cut, and the initials of those of two or more."""
    tokens: list[str] = []
    sound = ""
    for syllable in syllables:
        sound += syllable
        if len(sound) >= _CUT:
            tokens.append(sound[:_CUT])
            break
        tokens.append(sound)
    initials = "".join([syllable[0] for syllable in syllables[:longest]])
    return tokens + [initials[:length] for length in range(2, len(initials) + 1)]


def _readings(run: str, usual: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The readings of a run, the likeliest first: as a surname, by phrase, then one character at a time."""
    readings: dict[tuple[str, ...], None] = {}
    if len(run) <= 4:
        double = _DOUBLE_SURNAMES.get(run[:2])
        if double:
            readings[double + usual[2:]] = None
        elif run[0] in _SURNAMES:
            readings[(_SURNAMES[run[0]], *usual[1:])] = None
    readings[usual] = None
    first = next(iter(readings))
    for place, character in enumerate(run):
        for other in _other_readings(character, first[place]):
            readings[(*first[:place], other, *first[place + 1 :])] = None
    return list(readings)[:_MAX_READINGS]


def _other_readings(character: str, usual: str) -> tuple[str, ...]:
    if "v" in usual:  # 吕: "lv" on keyboards, "lyu" in passports, "lu" on old cards
        return usual.replace("v", "yu"), usual.replace("v", "u")
    return _ALSO.get(character, ())


@lru_cache(maxsize=2_048)
def _usual_reading(run: str) -> tuple[str, ...]:
    """Syllables without tones, ü as v; a character without a reading gives none.

    Imported on first use: the dictionary takes 50 ms and 12 MB. Cutting a run into words is slow and matters
    only where one of those occurs that read otherwise, so characters are read one by one elsewhere.
    """
    from app.kernel.pinyin import STARTS, WORDS, lazy_pinyin

    words = not STARTS.isdisjoint(run) and [
        run[start:end] for start in range(len(run) - 1) for end in (start + 2, start + 3)
    ]
    if words and not WORDS.keys().isdisjoint(words):
        return tuple(lazy_pinyin(run, errors="ignore"))
    return tuple(chain.from_iterable(map(_one_syllable, run)))


@lru_cache(maxsize=4_096)
def _one_syllable(character: str) -> tuple[str, ...]:
    from app.kernel.pinyin import lazy_pinyin

    return tuple(lazy_pinyin(character, errors="ignore"))
