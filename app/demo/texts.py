"""What people write on a timeline, in Chinese and English; `{product}` is what the talk is about."""

NOTES = {
    "zh": (
        "客户对{product}很感兴趣，希望先寄两套样品测试。",
        "对方预算下季度才批，约定月初再跟进。",
        "拜访工厂，现有供应商交期不稳定，{product}有替换机会。",
        "技术部已确认参数，等采购总监签字。",
        "价格比竞品高约 8%，需要申请阶梯价。",
        "客户要求提供{product}的检测报告和原产地证明。",
        "展会上加了微信，已发产品目录和案例。",
        "财务要求账期 60 天，已转给经理评估。",
    ),
    "en": (
        "Keen on our {product}; wants two sample sets before deciding.",
        "Budget is only approved next quarter; agreed to talk again early next month.",
        "Plant visit: their current supplier is late too often, {product} could be replaced.",
        "Engineering has signed off the specification; waiting for procurement.",
        "We are about 8% above the competitor; asked for tier pricing.",
        "They need test reports and a certificate of origin for the {product}.",
        "Met at the trade show, sent the catalogue and two case studies.",
        "Finance asks for 60 days net; passed on to the manager.",
    ),
}
TASKS = {
    "zh": (
        ("发送报价单", "按 500 件和 2000 件两档报{product}。"),
        ("寄样品", "寄出{product}样品并告知快递单号。"),
        ("回访客户", "确认{product}试用情况和下一步时间表。"),
        ("准备演示", "为技术部准备{product}的线上演示。"),
        ("更新合同条款", "按客户法务意见修改付款条款。"),
    ),
    "en": (
        ("Send the quote", "Two tiers for {product}: 500 and 2,000 pieces."),
        ("Ship samples", "Ship {product} samples and pass on the tracking number."),
        ("Follow up", "Ask how the {product} trial went and what comes next."),
        ("Prepare a demo", "Online demo of {product} for the engineering team."),
        ("Revise the terms", "Adjust the payment clause as their legal counsel asked."),
    ),
}
CALLS = {
    "zh": {
        "connected": ("需求沟通", "了解了{product}的用量和交期要求，约好发资料。"),
        "no_answer": ("未接通", "电话无人接听，明天再打。"),
        "voicemail": ("语音留言", "留言说明来意并请对方回电。"),
        "call_back": ("约定回电", "对方在开会，约下午回电。"),
    },
    "en": {
        "connected": (
            "Discovery call",
            "Learnt volumes and delivery dates for {product}; will send material.",
        ),
        "no_answer": ("No answer", "Nobody picked up; trying again tomorrow."),
        "voicemail": ("Left a voicemail", "Said why we are calling and asked for a call back."),
        "call_back": ("Call back agreed", "In a meeting; calling back this afternoon."),
    },
}
LEAD_DESCRIPTIONS = {
    "zh": (
        "咨询{product}的价格和最小起订量。",
        "想了解{product}的技术参数，计划三个月内采购。",
        "现有供应商交期太长，寻找{product}的新货源。",
        "下载了{product}的选型手册。",
        "希望安排一次{product}的演示。",
    ),
    "en": (
        "Asks for price and minimum order quantity of {product}.",
        "Wants specifications of {product}; plans to buy within three months.",
        "Current supplier is too slow; looking for a new source of {product}.",
        "Downloaded the selection guide for {product}.",
        "Would like a demo of {product}.",
    ),
}
