"""Documents as PDF: what they say, that text is never markup, that bytes repeat, and that bad ones end alone."""

from __future__ import annotations

import asyncio
import io
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from app.kernel.colors import READABLE, contrast, readable
from app.kernel.pdf.capitals import capital_amount
from app.kernel.pdf.documents import (
    Brand,
    Document,
    DocumentKind,
    DocumentLine,
    DocumentParty,
    DocumentTotals,
    order_for,
    paper_of,
    render_document,
)
from app.kernel.pdf.render import DocumentNotRendered, Order, Renderer, font_folder
from app.kernel.totals import LineInput, total

MADE_AT = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


def document(
    inputs: list[LineInput] | None = None,
    *,
    currency: str = "CNY",
    tax_included: bool = False,
    names: list[str] | None = None,
    **given: Any,
) -> Document:
    """A quote of two lines, 10 % off the first and 5 % off all."""
    inputs = inputs or [
        LineInput(
            quantity=Decimal(3),
            unit_price=Decimal("1299.00"),
            discount_percent=Decimal(10),
            tax_rate=Decimal(13),
        ),
        LineInput(quantity=Decimal("2.5"), unit_price=Decimal("80.125"), tax_rate=Decimal(6)),
    ]
    sums = total(inputs, currency=currency, discount_percent=Decimal(5), tax_included=tax_included)
    lines = [
        DocumentLine(
            position=str(number),
            name=name,
            quantity=line.quantity,
            unit="台",
            unit_price=line.unit_price,
            discount_percent=line.discount_percent,
            tax_rate=line.tax_rate,
            totals=amounts,
        )
        for number, (name, line, amounts) in enumerate(
            zip(names or ["工业机器人", "安装服务"] * len(inputs), inputs, sums.lines, strict=False), 1
        )
    ]
    plain = Document(
        kind=DocumentKind.QUOTE,
        language="zh",
        number="Q-2026-00042",
        issued_on=date(2026, 3, 1),
        made_at=MADE_AT,
        seller=DocumentParty(
            name="北辰机器人有限公司", lines=["上海市张江路100号"], tax_number="91310000MA1K35X00X"
        ),
        buyer=DocumentParty(name="Müller GmbH", lines=["Hauptstraße 1"]),
        currency=currency,
        tax_included=tax_included,
        lines=lines,
        totals=DocumentTotals(
            subtotal=sums.subtotal,
            header_discount=sums.header_discount,
            net=sums.net,
            tax=sums.tax,
            total=sums.total,
            taxes=sums.taxes,
        ),
    )
    return replace(plain, **given)


def reading(pdf: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(pdf))


def text_of(pdf: bytes) -> str:
    """All text of all pages, without blanks: where lines break is not what a document says."""
    pages = "".join(page.extract_text() for page in reading(pdf).pages)
    return "".join(pages.split()).replace("\u200b", "")


def font_files(pdf: bytes) -> list[bool]:
    """Whether each font of the file is embedded."""
    found = []
    for page in reading(pdf).pages:
        resources: Any = page["/Resources"]
        for font in resources["/Font"].values():
            inner = font.get_object()
            for one in inner.get("/DescendantFonts", [inner]):
                descriptor = one.get_object()["/FontDescriptor"].get_object()
                found.append(any(name in descriptor for name in ("/FontFile", "/FontFile2", "/FontFile3")))
    return found


def sizes_of_pictures(pdf: bytes) -> list[tuple[int, int]]:
    resources: Any = reading(pdf).pages[0]["/Resources"]
    found = [one.get_object() for one in resources.get("/XObject", {}).values()]
    return [(one["/Width"], one["/Height"]) for one in found if one["/Subtype"] == "/Image"]


def picture(width: int = 2, height: int = 1) -> bytes:
    """A PNG."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + b"\xd0\x20\x20" * width for _ in range(height))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


# -- what a document says ------------------------------------------------------------------------------------


async def test_a_chinese_quote_says_everything_with_embedded_fonts():
    pdf = await render_document(
        Renderer(),
        document(valid_until=date(2026, 3, 31), sections=[("条款", "货到付款。\n「七天」内有效。")]),
    )
    text = text_of(pdf)
    for said in (
        "报价单", "编号Q-2026-00042", "2026年3月1日", "有效期至2026年3月31日", "北辰机器人有限公司", "税号91310000MA1K35X00X",
        "MüllerGmbH", "工业机器人", "3台", "1,299.00", "10%", "13%", "3,507.30", "80.125", "200.31", "小计¥3,707.61",
        "折扣-¥185.38", "不含税金额¥3,522.23", "税额6%¥11.42", "税额13%¥433.15", "合计¥3,966.80",
        "大写金额人民币叁仟玖佰陆拾陆元捌角整", "条款", "「七天」内有效。", "第1页，共1页",
    ):  # fmt: skip
        assert said in text, said
    assert "草稿" not in text
    fonts = font_files(pdf)
    assert fonts
    assert all(fonts)


async def test_an_english_invoice_writes_money_and_dates_as_english_does():
    pdf = await render_document(
        Renderer(),
        document(
            currency="USD",
            language="en",
            kind=DocumentKind.INVOICE,
            due_on=date(2026, 4, 1),
            paper="us-letter",
        ),
    )
    text = text_of(pdf)
    for said in (
        "Invoice", "March1,2026", "DueonApril1,2026", "Subtotal$3,707.61", "Discount-$185.38", "Net$3,522.23",
        "Tax13%$433.15", "Total$3,966.80", "Page1of1",
    ):  # fmt: skip
        assert said in text, said
    assert "人民币" not in text
    [page] = reading(pdf).pages
    assert (round(page.mediabox.width), round(page.mediabox.height)) == (612, 792)


@pytest.mark.parametrize(
    ("currency", "language", "shown"),
    [
        ("JPY", "zh", "合计JP¥3,966"), ("KWD", "en", "TotalKWD3,966.802"), ("CNY", "en", "TotalCN¥3,966.80"),
        ("EUR", "zh", "合计€3,966.80"),
    ],
)  # fmt: skip
async def test_every_currency_has_its_own_decimals(currency: str, language: str, shown: str):
    text = text_of(await render_document(Renderer(), document(currency=currency, language=language)))
    assert shown in text
    assert "人民币" not in text


async def test_prices_with_tax_in_them_say_so():
    text = text_of(await render_document(Renderer(), document(tax_included=True, language="en")))
    for said in ("TotalCN¥3,522.23", "ofwhichtax13%", "ofwhichtax6%", "NetCN¥"):
        assert said in text, said
    assert text.index("TotalCN¥") < text.index("ofwhichtax13%") < text.index("NetCN¥")


async def test_components_options_and_drafts_are_marked():
    plain = document()
    bundle, other = plain.lines
    part = replace(bundle, position="1.1", name="底座", totals=None, component=True)
    option = replace(other, position="3", name="延保", optional=True, charge="yearly")
    text = text_of(
        await render_document(Renderer(), replace(plain, lines=[bundle, part, other, option], draft=True))
    )
    assert "1.1底座3台已含" in text
    assert text.index("合计¥3,966.80") < text.index("可选项目") < text.index("3延保2.5台80.125/年")
    assert "草稿" in text


async def test_two_hundred_lines_go_over_pages_with_numbers_and_repeated_heads():
    line = LineInput(quantity=Decimal(1), unit_price=Decimal(1), tax_rate=Decimal(13))
    pdf = await render_document(Renderer(), document([line] * 200, names=[f"行{n}" for n in range(200)]))
    pages = ["".join(page.extract_text().split()) for page in reading(pdf).pages]
    assert len(pages) > 3
    for number, page in enumerate(pages, 1):
        assert f"第{number}页，共{len(pages)}页" in page
    assert all("单价" in page for page in pages[:-1])
    assert "行199" in pages[-1]


async def test_a_logo_is_in_the_file_and_anything_else_is_left_out():
    with_logo = await render_document(Renderer(), document(brand=Brand(color="#d02020", logo=picture())))
    assert sizes_of_pictures(with_logo) == [(2, 1)]
    without = await render_document(Renderer(), document(brand=Brand(logo=b"<svg onload=alert(1)>")))
    assert sizes_of_pictures(without) == []


# -- text is data --------------------------------------------------------------------------------------------

HOSTILE = [
    "#set page(fill: red)", "*not bold* _nor this_ `code` $x^2$", "#read(\"/etc/passwd\")", "\\u{41} \\ / // /* */",
    "= Heading\n- list\n+ enum", "<label> @ref", "\"]}; panic() #{", "{{ }} ${x} %s", "#import \"@preview/x:1.0.0\": *", "A" * 3_000,
    "中" * 3_000, "مرحبا بالعالم", "שלום", "😀👩‍👩‍👧‍👦🇨🇳", "e\u0301\u200d\u202e\ufeff", "\t \u00a0 \u3000", "\x7f",
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_text_is_shown_as_it_was_written(hostile: str):
    plain = document()
    lines = [replace(plain.lines[0], name=hostile, detail=hostile, unit=hostile[:20]), plain.lines[1]]
    party = DocumentParty(name=hostile[:200], lines=[hostile], tax_number=hostile[:50])
    pdf = await render_document(
        Renderer(),
        replace(
            plain,
            lines=lines,
            seller=party,
            buyer=party,
            number=hostile[:50],
            sections=[(hostile[:60], hostile)],
        ),
    )
    text = text_of(pdf)
    assert "合计¥3,966.80" in text
    if hostile.isascii() and hostile.isprintable():
        assert "".join(hostile.split()) in text


@given(st.text(min_size=1, max_size=200))
def test_any_text_is_valid_data(text: str):
    if any("\ud800" <= one <= "\udfff" for one in text):
        return  # no surrogate comes through the API
    order = order_for(document(names=[text, text]))
    assert text.replace("\u200b", "") in str(order.data["lines"][0]["name"]).replace("\u200b", "")
    assert order.encoded()


# -- the same bytes ------------------------------------------------------------------------------------------


async def test_the_same_description_gives_the_same_bytes_and_another_one_does_not():
    described = document(brand=Brand(logo=picture()))
    pdfs = await asyncio.gather(*(render_document(Renderer(), described) for _ in range(4)))
    assert len(set(pdfs)) == 1
    assert await render_document(Renderer(), replace(described, number="Q-2026-00043")) != pdfs[0]
    assert reading(pdfs[0]).metadata.creation_date == MADE_AT
    assert reading(pdfs[0]).metadata.title == "报价单 Q-2026-00042"


# -- bounds --------------------------------------------------------------------------------------------------


def order(template: str) -> Order:
    return Order(template, {}, MADE_AT)


@pytest.mark.parametrize(
    "template",
    [
        '#let a = ("x",)\n#for i in range(60) { a = a + a }', "#let f(x) = f(x + 1)\n#f(1)", '#read("/etc/passwd")',
        '#read("../../../../../../etc/passwd")', "#sys.inputs.nothing", "#",
    ],
)  # fmt: skip
async def test_what_cannot_be_laid_out_is_refused_and_takes_nobody_along(template: str):
    renderer = Renderer()
    with pytest.raises(DocumentNotRendered):
        await renderer.render(order(template))
    assert (await render_document(renderer, document())).startswith(b"%PDF-")


async def test_a_document_that_takes_too_long_is_stopped():
    endless = "#let n = 0\n#while n < 9000000000 { n = n + 1; if calc.rem(n, 2) == 5 { break } }"
    with pytest.raises(DocumentNotRendered):
        await Renderer(seconds=1).render(order(endless))


async def test_a_document_that_wants_too_much_memory_is_stopped():
    with pytest.raises(DocumentNotRendered):
        await Renderer(memory_bytes=64 << 20).render(order("#range(10000000).len()"))


async def test_forty_documents_at_once_are_all_made_and_the_loop_goes_on():
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    renderer = Renderer()
    pdfs = await asyncio.gather(*(render_document(renderer, document(number=f"Q-{n}")) for n in range(40)))
    ticking.cancel()
    assert len(set(pdfs)) == 40
    assert ticks > 40


def test_a_start_does_not_load_what_only_documents_need():
    code = "import sys, app.main; print(sorted({'typst', 'pylopdf_fonts_zh_cn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- the font ------------------------------------------------------------------------------------------------


def test_the_font_has_every_character_of_gb_2312_and_what_documents_need():
    [path] = [path for path in font_folder().iterdir() if path.name == "NotoSansSC-Regular.otf"]
    font = TTFont(path)
    known = font.getBestCmap()
    characters = {
        bytes((row, cell)).decode("gb2312", "ignore")
        for row in range(0xB0, 0xF8)
        for cell in range(0xA1, 0xFF)
    } - {""}
    assert len(characters) == 6_763  # 3,755 of level 1 and 3,008 of level 2
    needed = "¥€£$「」『』《》()【】,。、;:!?…—·%℃㎡№零壹贰叁肆伍陆柒捌玖拾佰仟万亿元角分整負äöüßéñçøåÅÉ"
    assert [one for one in {*characters, *needed} if ord(one) not in known] == []
    assert "SIL Open Font License" in font["name"].getDebugName(13)


# -- amounts in capital figures ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fen", "said"),
    [  # the first six are the examples of the rules themselves (附件一, 3)
        (140950, "壹仟肆佰零玖元伍角整"),
        (600714, "陆仟零柒元壹角肆分"),
        (168032, "壹仟陆佰捌拾元叁角贰分"),
        (10700053, "壹拾万柒仟元伍角叁分"),
        (1640902, "壹万陆仟肆佰零玖元零贰分"),
        (32504, "叁佰贰拾伍元零肆分"),
        (0, "零元整"),
        (1, "壹分"),
        (10, "壹角整"),
        (100, "壹元整"),
        (1000, "壹拾元整"),
        (1000000, "壹万元整"),
        (1000100, "壹万零壹元整"),
        (10000000000, "壹亿元整"),
        (10000000100, "壹亿零壹元整"),
        (10001000000, "壹亿零壹万元整"),
        (2**63 - 1, "玖亿贰仟贰佰叁拾叁万柒仟贰佰零叁亿陆仟捌佰伍拾肆万柒仟柒佰伍拾捌元零柒分"),
    ],
)
def test_amounts_are_written_as_the_rules_say(fen: int, said: str):
    assert capital_amount(fen) == "人民币" + said
    if fen:
        assert capital_amount(-fen) == "人民币负" + said


def _read(said: str) -> int:
    """What an amount in capital figures means; written apart from what writes it."""
    digits = {digit: value for value, digit in enumerate("零壹贰叁肆伍陆柒捌玖")}
    places = {"拾": 10, "佰": 100, "仟": 1_000}
    whole, _, rest = (
        said.removeprefix("人民币").partition("元") if "元" in said else ("", "", said.removeprefix("人民币"))
    )
    total_of_all = section = number = 0
    for one in whole:
        if one in digits:
            number = digits[one]
        elif one in places:
            section, number = section + number * places[one], 0
        elif one == "万":
            total_of_all, section, number = total_of_all + (section + number) * 10**4, 0, 0
        else:
            total_of_all, section, number = (total_of_all + section + number) * 10**8, 0, 0
    fen = (total_of_all + section + number) * 100
    for name, value in (("角", 10), ("分", 1)):
        if name in rest:
            fen += digits[rest[rest.index(name) - 1]] * value
    return fen


@given(st.integers(min_value=0, max_value=10**14) | st.integers(min_value=0, max_value=2**63 - 1))
def test_an_amount_in_capital_figures_means_one_amount(fen: int):
    said = capital_amount(fen)
    assert _read(said) == fen
    assert "零零" not in said
    assert said.endswith("整") == (fen % 10 == 0)


# -- colours and paper ---------------------------------------------------------------------------------------


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True))
def test_every_colour_can_be_read_on_white(color: str):
    found = readable(color)
    assert contrast(found, "#ffffff") >= READABLE
    if contrast(color, "#ffffff") >= READABLE:
        assert found == color


def test_contrast_is_measured_as_wcag_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert [readable(wrong) for wrong in (None, "", "red", "#FFF", "#12345g", "#0b5cc0\n")] == ["#0b5cc0"] * 6


def test_paper_follows_the_country():
    assert [paper_of(country) for country in ("CN", "US", "DE", "CA", "JP")] == [
        "a4", "us-letter", "a4", "us-letter", "a4",
    ]  # fmt: skip
