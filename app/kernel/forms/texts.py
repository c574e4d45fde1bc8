"""What visitors of forms read, in English and Chinese."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "thanks": "Thank you. We have received your message.",
        "send": "Send",
        "required": "required",
        "choose": "Please choose",
        "wrong": "Please look at these fields again:",
        "failed": "That did not work. Please try again later.",
        "too_many": "There were too many messages just now. Please try again later.",
        "leave_empty": "Please leave this empty",
        "gone_title": "There is nothing here",
        "gone": "This form does not exist, or it is closed.",
        "invalid_email": "This is not an e-mail address.",
        "invalid_phone": "This is not a telephone number.",
        "invalid_url": "This is not a web address.",
        "field_required": "Please fill this in.",
        "consent_required": "Please agree to this.",
        "unknown_option": "Please choose one of the options.",
        "invalid": "This cannot be right.",
    },
    "zh": {
        "thanks": "谢谢，我们已收到您的信息。",
        "send": "提交",
        "required": "必填",
        "choose": "请选择",
        "wrong": "请检查以下内容：",
        "failed": "提交失败，请稍后再试。",
        "too_many": "提交过于频繁，请稍后再试。",
        "leave_empty": "请勿填写此项",
        "gone_title": "页面不存在",
        "gone": "该表单不存在或已关闭。",
        "invalid_email": "邮箱地址格式不正确。",
        "invalid_phone": "电话号码格式不正确。",
        "invalid_url": "网址格式不正确。",
        "field_required": "请填写此项。",
        "consent_required": "请勾选同意。",
        "unknown_option": "请选择其中一项。",
        "invalid": "内容不正确。",
    },
}
_MESSAGES: Final = {"required": "field_required"}


def message_for(code: str, language: str) -> str:
    """What a visitor is told about a field with this finding."""
    texts = TEXTS[language]
    name = _MESSAGES.get(code, code)
    return (
        texts[name]
        if name.startswith(("invalid_", "field_", "consent_", "unknown_")) and name in texts
        else texts["invalid"]
    )
