"""What the demo company sells: its goods in two languages, a kit, variants, and price books in two currencies."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from app.demo import words

CATEGORIES: Final = (("工业品", "Industrial goods"), ("服务", "Services"))
_UNITS: Final = {"防静电包装": "box", "输送带": "metre", "电缆组件": "metre"}
_PRICES: Final = (86, 420, 2350, 560, 128, 1180, 312, 45, 690, 75)
_YUAN_PER_DOLLAR: Final = 7
OPTIONS: Final = (
    {
        "key": "range",
        "name": "量程",
        "name_en": "Range",
        "values": [
            {"key": "low", "name": "低温", "name_en": "Low"},
            {"key": "high", "name": "高温", "name_en": "High"},
        ],
    },
    {
        "key": "signal",
        "name": "信号",
        "name_en": "Signal",
        "values": [
            {"key": "analog", "name": "模拟", "name_en": "Analogue"},
            {"key": "digital", "name": "数字", "name_en": "Digital"},
        ],
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoProduct:
    """Something for sale. `yuan` is its list price; dollars and cost follow from it."""

    external_id: str
    code: str
    name: str
    name_en: str
    category: str
    yuan: int
    unit: str = "piece"
    tax_class: str = "standard"
    charge: str = "one_time"
    stocked: bool = True
    warranty_months: int | None = 12

    @property
    def prices(self) -> list[dict[str, str]]:
        dollars = (Decimal(self.yuan) / _YUAN_PER_DOLLAR).quantize(Decimal("0.01"))
        return [
            {"amount": f"{self.yuan}.00", "currency": "CNY"},
            {"amount": str(dollars), "currency": "USD"},
        ]

    @property
    def costs(self) -> list[dict[str, str]]:
        cost = (Decimal(self.yuan) * 62 / 100).quantize(Decimal("0.01"))
        return [{"amount": str(cost), "currency": "CNY"}]


def products() -> tuple[DemoProduct, ...]:
    """The goods that the company's opportunities name, two services, and a kit of some of them."""
    goods = tuple(
        DemoProduct(
            external_id=f"P-{number:03}",
            code=f"YH-{number:03}",
            name=zh,
            name_en=en.capitalize(),
            category=CATEGORIES[0][0],
            yuan=yuan,
            unit=_UNITS.get(zh, "piece"),
        )
        for number, ((zh, en), yuan) in enumerate(zip(words.PRODUCTS, _PRICES, strict=True), start=1)
    )
    return (
        *goods,
        _service("P-101", "YH-S01", "安装与培训", "Installation and training", yuan=1200, unit="day"),
        _service(
            "P-102", "YH-S02", "远程监控服务", "Remote monitoring", yuan=299, unit="month", charge="monthly"
        ),
        DemoProduct(
            external_id=KIT,
            code="YH-KIT",
            name="自动化套装",
            name_en="Automation kit",
            category=CATEGORIES[0][0],
            yuan=5200,
            unit="set",
        ),
    )


def _service(
    external_id: str, code: str, name: str, name_en: str, *, yuan: int, unit: str, charge: str = "one_time"
) -> DemoProduct:
    return DemoProduct(
        external_id=external_id,
        code=code,
        name=name,
        name_en=name_en,
        category=CATEGORIES[1][0],
        yuan=yuan,
        unit=unit,
        tax_class="services",
        charge=charge,
        stocked=False,
        warranty_months=None,
    )


TEMPLATE: Final = "P-001"
"""The product that is sold in variants."""
KIT: Final = "P-201"
KIT_GROUPS: Final = (
    ("核心", "Core", (("P-003", True, "2", "included"), ("P-009", True, "4", "included"))),
    ("选配", "Extras", (("P-006", False, "1", "own"), ("P-101", False, "1", "fixed"))),
)
"""Groups of the kit: product, required, quantity for one kit, pricing."""
KIT_FIXED: Final = [{"amount": "900.00", "currency": "CNY"}, {"amount": "130.00", "currency": "USD"}]
BOOKS: Final = (
    ("YH-CNY", "标准价格表", "Standard price list", "CNY", "default", None, "range", Decimal("0.97")),
    ("YH-USD", "出口价格表", "Export price list", "USD", "default", None, "range", Decimal("0.95")),
    (
        "YH-VIP",
        "重点客户价格表",
        "Key account price list",
        "CNY",
        "segment",
        "key_account",
        "slab",
        Decimal("0.92"),
    ),
)
"""Price books: code, names, currency, kind, segment, kind of tiers, and what of the list price they ask."""


def entry(product: DemoProduct, currency: str, tier_kind: str, share: Decimal) -> dict[str, object]:
    """A product's price in a book: a little less from ten on, and less again from a hundred."""
    listed = next(Decimal(price["amount"]) for price in product.prices if price["currency"] == currency)

    def part(of: str) -> str:
        return str((listed * share * Decimal(of)).quantize(Decimal("0.01")))

    return {
        "product_code": product.code,
        "price": part("1"),
        "tier_kind": tier_kind,
        "tiers": [
            {"from_quantity": "10", "price": part("0.96")},
            {"from_quantity": "100", "price": part("0.90")},
        ],
    }
