"""What customers read: the mail, the page, and what colleagues are told of their answers."""

from __future__ import annotations

from typing import Final

QUESTIONS: Final[dict[str, dict[str, str]]] = {
    "csat": {"en": "How satisfied are you with our help?", "zh": "您对我们的服务满意吗？"},
    "nps": {
        "en": "How likely are you to recommend us to a friend or colleague?",
        "zh": "您有多大可能向朋友或同事推荐我们？",
    },
    "ces": {"en": "How easy was it to get your problem solved?", "zh": "解决您的问题是否方便？"},
}
ENDS: Final[dict[str, dict[str, str]]] = {
    "csat": {"en": "1 is very dissatisfied, 5 is very satisfied.", "zh": "1 为非常不满意，5 为非常满意。"},
    "nps": {"en": "0 is not at all likely, 10 is extremely likely.", "zh": "0 为完全不可能，10 为非常可能。"},
    "ces": {"en": "1 is very difficult, 7 is very easy.", "zh": "1 为非常困难，7 为非常方便。"},
}
TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "How did we do?",
        "about": "Your request {number}: {subject}",
        "comment": "Would you like to tell us more?",
        "complaint": "I have a complaint; please have somebody contact me.",
        "send": "Send",
        "required": "required",
        "wrong": "Please look at this:",
        "choose": "Please choose a number.",
        "too_long": "This is too long.",
        "answered": "Thank you for your answer",
        "answered_text": "You gave us {score} out of {most}.",
        "complained": "Somebody will contact you.",
        "expired": "This survey is closed",
        "expired_text": "It could be answered until {day}. Thank you nevertheless.",
        "withdrawn": "This survey was withdrawn",
        "withdrawn_text": "There is nothing to answer any more.",
        "nothing": "There is nothing here",
        "nothing_text": "This link does not work. Please look whether it is complete.",
        "too_many": "Too many requests",
        "too_many_text": "Please wait a moment and try again.",
        "other_language": "中文",
        "subject": "How did we do? Your request {number}",
        "mail": (
            "{company} has solved your request {number}: {subject}\n\n{question}\n\n"
            "Tell us here; it takes a moment:\n\n{link}\n"
        ),
        "notice": "{number}: an unhappy customer ({kind} {score})",
        "notice_complaint": "{number}: a complaint ({kind} {score})",
        "task": "Get in touch with the customer of {number} ({kind} {score})",
    },
    "zh": {
        "title": "服务评价",
        "about": "您的请求 {number}：{subject}",
        "comment": "您还有什么想告诉我们的？",
        "complaint": "我要投诉，请与我联系。",
        "send": "提交",
        "required": "必填",
        "wrong": "请检查以下内容：",
        "choose": "请选择一个分数。",
        "too_long": "内容过长。",
        "answered": "感谢您的评价",
        "answered_text": "您的评分：{score}（满分 {most}）。",
        "complained": "我们会尽快与您联系。",
        "expired": "评价已截止",
        "expired_text": "评价截止于 {day}。仍然感谢您。",
        "withdrawn": "评价已取消",
        "withdrawn_text": "您无需再作评价。",
        "nothing": "页面不存在",
        "nothing_text": "此链接无效，请检查是否完整。",
        "too_many": "请求过于频繁",
        "too_many_text": "请稍后再试。",
        "other_language": "English",
        "subject": "请为我们的服务评分：请求 {number}",
        "mail": (
            "{company} 已处理您的请求 {number}：{subject}\n\n{question}\n\n请通过以下链接评价，只需片刻：\n\n{link}\n"
        ),
        "notice": "{number}：客户不满意（{kind} {score}）",
        "notice_complaint": "{number}：客户投诉（{kind} {score}）",
        "task": "联系 {number} 的客户（{kind} {score}）",
    },
}
