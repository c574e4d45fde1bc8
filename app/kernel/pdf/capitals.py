"""Amounts in Chinese capital figures (大写金额), which cannot be altered by a stroke.

Source: 中国人民银行《支付结算办法》, 附件一《正确填写票据和结算凭证的基本规定》, 1 to 3. Where it allows two ways,
ours is: 整 after 元 and after 角, and no 零 for a group that ends in zeros (¥107,000.53 is 壹拾万柒仟元伍角叁分).
"""

from __future__ import annotations

from typing import Final

_DIGITS: Final = "零壹贰叁肆伍陆柒捌玖"
_PLACES: Final = ((1_000, "仟"), (100, "佰"), (10, "拾"))
_GROUPS: Final = ((10**8, "亿", 10**7), (10**4, "万", 10**3))


def capital_amount(fen: int) -> str:
    """人民币 and an amount of fen in capital figures: 140950 is 人民币壹仟肆佰零玖元伍角整."""
    sign = "负" if fen < 0 else ""
    yuan, rest = divmod(abs(fen), 100)
    jiao, odd = divmod(rest, 10)
    parts = [_whole(yuan), "元"] if yuan or not rest else []
    if jiao:
        parts += [_DIGITS[jiao], "角"]
    elif odd and yuan:
        parts.append("零")
    parts += [_DIGITS[odd], "分"] if odd else ["整"]
    return "人民币" + sign + "".join(parts)


def _whole(number: int) -> str:
    for size, name, full in _GROUPS:
        if number >= size:
            more, rest = divmod(number, size)
            tail = "" if not rest else ("零" if rest < full else "") + _whole(rest)
            return _whole(more) + name + tail
    return _below_ten_thousand(number)


def _below_ten_thousand(number: int) -> str:
    if number == 0:
        return _DIGITS[0]
    said, gap = "", False
    for size, name in (*_PLACES, (1, "")):
        digit, number = divmod(number, size)
        if digit:
            said += ("零" if gap and said else "") + _DIGITS[digit] + name
        gap = digit == 0
    return said
