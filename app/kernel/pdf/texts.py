"""The words of commercial documents, in English and Chinese."""

from __future__ import annotations

from typing import Final

TITLES: Final[dict[str, dict[str, str]]] = {
    "en": {
        "quote": "Quotation",
        "order": "Order confirmation",
        "contract": "Contract",
        "invoice": "Invoice",
        "credit_note": "Credit note",
    },
    "zh": {
        "quote": "报价单",
        "order": "订单确认书",
        "contract": "合同",
        "invoice": "账单",
        "credit_note": "贷项通知单",
    },
}
"""An invoice of ours is 账单: 发票 is what only the tax office's system issues in China."""
CHARGES: Final[dict[str, dict[str, str]]] = {
    "en": {"monthly": " / month", "yearly": " / year"},
    "zh": {"monthly": " /月", "yearly": " /年"},
}
TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "to": "To",
        "from": "From",
        "number": "Number",
        "date": "Date",
        "valid_until": "Valid until",
        "due_on": "Due on",
        "currency": "Currency",
        "tax_number": "Tax number",
        "item": "Item",
        "quantity": "Quantity",
        "price": "Unit price",
        "line_discount": "Discount",
        "rate": "Tax",
        "amount": "Amount",
        "included": "included",
        "optional": "Optional",
        "optional_note": "Not in the total; choose what you need.",
        "subtotal": "Subtotal",
        "discount": "Discount",
        "net": "Net",
        "tax": "Tax {rate}",
        "tax_included": "of which tax {rate}",
        "total": "Total",
        "capitals": "In words",
        "draft": "DRAFT",
        "page": "Page {page} of {pages}",
    },
    "zh": {
        "to": "客户",
        "from": "供方",
        "number": "编号",
        "date": "日期",
        "valid_until": "有效期至",
        "due_on": "付款期限",
        "currency": "币种",
        "tax_number": "税号",
        "item": "项目",
        "quantity": "数量",
        "price": "单价",
        "line_discount": "折扣",
        "rate": "税率",
        "amount": "金额",
        "included": "已含",
        "optional": "可选项目",
        "optional_note": "未计入合计，请按需选择。",
        "subtotal": "小计",
        "discount": "折扣",
        "net": "不含税金额",
        "tax": "税额 {rate}",
        "tax_included": "其中税额 {rate}",
        "total": "合计",
        "capitals": "大写金额",
        "draft": "草稿",
        "page": "第 {page} 页，共 {pages} 页",
    },
}
