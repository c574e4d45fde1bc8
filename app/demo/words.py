"""What names and addresses are composed of, in Chinese and in English. All brands are invented."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from app.demo.records import Language


@dataclass(frozen=True, slots=True)
class Post:
    """A job title and its department."""

    title: str
    department: str


@dataclass(frozen=True, slots=True)
class Role:
    """What somebody plays in a purchase: how often we meet it, and which posts play it in each language."""

    weight: float
    posts: Mapping[Language, tuple[Post, ...]]


def post(rng: random.Random, role: str, language: Language) -> Post:
    """A post in which somebody plays this role."""
    return rng.choice(ROLES[role].posts[language])


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _spelled(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of Chinese and its pinyin, written `云帆:yunfan`."""
    return tuple((word, latin) for word, _, latin in (pair.partition(":") for pair in text.split()))


@dataclass(frozen=True, slots=True)
class Industry:
    """A branch of business: its code, and how it shows up in a company's name and in what it buys."""

    code: str
    zh_name: str
    zh_forms: tuple[str, ...]
    en_forms: tuple[str, ...]
    weight: float


INDUSTRIES = (
    Industry(
        "manufacturing",
        "制造业",
        ("精密机械", "智能装备", "模具", "机电"),
        ("Precision", "Machine Works", "Tooling"),
        20,
    ),
    Industry(
        "electronics",
        "电子",
        ("电子", "光电", "半导体材料", "传感"),
        ("Electronics", "Photonics", "Sensors"),
        15,
    ),
    Industry(
        "technology", "信息技术", ("科技", "信息技术", "软件", "云计算"), ("Systems", "Software", "Labs"), 15
    ),
    Industry(
        "logistics", "物流", ("物流", "供应链管理", "仓储"), ("Logistics", "Freight", "Warehousing"), 10
    ),
    Industry("retail", "零售", ("商贸", "连锁商业", "百货"), ("Retail", "Stores", "Trading"), 10),
    Industry("automotive", "汽车", ("汽车零部件", "新能源汽车配件"), ("Automotive", "Motor Parts"), 8),
    Industry("food_beverage", "食品饮料", ("食品", "饮料", "茶业"), ("Foods", "Beverages", "Bakeries"), 7),
    Industry(
        "healthcare",
        "医疗健康",
        ("医疗器械", "生物医药", "健康产业"),
        ("Medical", "Life Sciences", "Care"),
        6,
    ),
    Industry("construction", "建筑", ("建筑工程", "装饰材料"), ("Construction", "Building Supplies"), 5),
    Industry("energy", "能源", ("新能源", "电力设备"), ("Energy", "Power"), 5),
    Industry("textiles", "纺织", ("纺织", "服饰"), ("Textiles", "Apparel"), 4),
    Industry("education", "教育", ("教育科技", "文化传播"), ("Learning", "Academy"), 3),
)
SIZES = {"1-10": 9, "11-50": 28, "51-200": 31, "201-500": 16, "501-1000": 9, "1001-5000": 5, "5000+": 2}

# city: (region, district or street names); the weight of a market is the number of times we meet it
CHINA = {
    "上海": ("华东", ("浦东新区云杉路", "闵行区金穗路", "嘉定区安河路"), 22),
    "苏州": ("华东", ("工业园区星澜街", "高新区竹溪路"), 10),
    "南京": ("华东", ("江宁区百川路", "建邺区奥林大道"), 6),
    "杭州": ("华东", ("滨江区江澜路", "余杭区文越西路"), 10),
    "宁波": ("华东", ("鄞州区甬泰路", "北仑区港城路"), 6),
    "合肥": ("华东", ("高新区望江西二路",), 3),
    "广州": ("华南", ("天河区珠澜路", "黄埔区科汇大道"), 10),
    "深圳": ("华南", ("南山区科苑南二路", "宝安区新澜大道"), 14),
    "东莞": ("华南", ("松山湖园区新竹路",), 6),
    "佛山": ("华南", ("南海区桂澜北街",), 4),
    "中山": ("华南", ("火炬开发区会展二路",), 2),
    "福州": ("华南", ("鼓楼区软湖大道",), 2),
    "北京": ("华北", ("海淀区西澜路", "大兴区荣京六街"), 7),
    "天津": ("华北", ("滨海新区洞庭二路",), 3),
    "青岛": ("华东", ("崂山区海川路",), 3),
    "成都": ("西南", ("高新区天府五街北路",), 4),
    "重庆": ("西南", ("渝北区金渝二道",), 3),
    "武汉": ("华中", ("东湖高新区光谷六路",), 4),
    "长沙": ("华中", ("岳麓区麓云路",), 2),
    "西安": ("西北", ("高新区锦业四路",), 2),
}
ABROAD = {
    "Seattle": ("US", "WA", 8),
    "Chicago": ("US", "IL", 9),
    "Austin": ("US", "TX", 8),
    "Boston": ("US", "MA", 6),
    "Denver": ("US", "CO", 4),
    "Portland": ("US", "OR", 4),
    "Atlanta": ("US", "GA", 5),
    "San Diego": ("US", "CA", 6),
    "Columbus": ("US", "OH", 4),
    "London": ("GB", "England", 10),
    "Manchester": ("GB", "England", 5),
    "Leeds": ("GB", "England", 3),
    "Birmingham": ("GB", "England", 4),
    "Edinburgh": ("GB", "Scotland", 3),
    "Bristol": ("GB", "England", 3),
    "Toronto": ("CA", "ON", 5),
    "Vancouver": ("CA", "BC", 3),
    "Calgary": ("CA", "AB", 2),
    "Sydney": ("AU", "NSW", 4),
    "Melbourne": ("AU", "VIC", 3),
    "Brisbane": ("AU", "QLD", 2),
    "Perth": ("AU", "WA", 1),
}
STREETS = (
    "Harbour Street",
    "Foundry Lane",
    "Orchard Road",
    "Station Road",
    "Mill Street",
    "Quarry Avenue",
    "Lakeview Drive",
    "Kiln Road",
    "Canal Street",
    "Juniper Way",
    "Granary Court",
    "Old Mint Street",
)

ZH_BRANDS = _spelled(
    """
    云帆:yunfan 澜石:lanshi 启岳:qiyue 恒川:hengchuan 竹溪:zhuxi
    远禾:yuanhe 星屿:xingyu 沐光:muguang 博睿达:boruida 嘉汇源:jiahuiyuan
    青柏:qingbai 松澜:songlan 海岳:haiyue 明砚:mingyan 晨鹭:chenlu
    瑞穗:ruisui 北辰禾:beichenhe 锐衡:ruiheng 望川:wangchuan
    朗科源:langkeyuan 悟空山:wukongshan 天枢:tianshu 凌霄塔:lingxiaota
    禾木:hemu 雁栖:yanqi 鼎衡:dingheng 华澜:hualan 智屿:zhiyu 欣桥:xinqiao
    金穗:jinsui 银杉:yinshan 玉衡:yuheng 凯越川:kaiyuechuan 荣泽:rongze
    泰岚:tailan 宏砺:hongli 德沐:demu 信禾:xinhe 诺川:nuochuan 捷岳:jieyue
    优澜:youlan 安屿:anyu 盛砚:shengyan 元禾谷:yuanhegu
    双鹭洲:shuangluzhou 三川石:sanchuanshi 九溪:jiuxi 百竹:baizhu
    千帆渡:qianfandu 万穗:wansui 拓岚:tuolan 兆衡:zhaoheng 祥澜:xianglan
    卓屿:zhuoyu 云杉谷:yunshangu 清砺:qingli 冠川:guanchuan
    广穗源:guangsuiyuan 亿禾:yihe 创澜:chuanglan
    """
)
EN_BRANDS = _words(
    """
    Alderfinch Brackenridge Calderwick Dunmarrow Eastvale Fernhollow Gladebrook Harrowgate
    Inverlark Juniperly Kestrelmoor Larkhaven Mossbridge Northmere Oakspindle Pinefarrow
    Quillbrook Rookwood Silverthorn Tamarisk Umberline Vantwell Westerfold Yarrowby Zephyrline
    Amberquay Birchwater Copperfell Driftstone Elmcrest Foxglen Greywharf Hazelport Ironlark
    Jadewater Kingsfallow Lowmarsh Merrowdale Nettlecombe Otterburn Plumridge Quarrystone
    Redfallow Stonewick Thistledown Upperlea Violetmere Willowmark Aspenholt Bluecairn
    Cinderford Dovecrest Emberly Flintshaw Goldenrook Hollyfield Islewright Kelpstone Lindenmark
    Marlowick
    """
)
EN_LEGAL = {"US": ("Inc.", "LLC", "Corp."), "GB": ("Ltd", "plc"), "CA": ("Inc.", "Ltd."), "AU": ("Pty Ltd",)}
ZH_LEGAL = ("有限公司", "有限公司", "有限公司", "股份有限公司", "有限责任公司")

ZH_SURNAMES = _spelled(
    """
    王:wang 李:li 张:zhang 刘:liu 陈:chen 杨:yang 赵:zhao 黄:huang
    周:zhou 吴:wu 徐:xu 孙:sun 胡:hu 朱:zhu 高:gao 林:lin 何:he 郭:guo
    马:ma 罗:luo 梁:liang 宋:song 郑:zheng 谢:xie 韩:han 唐:tang
    冯:feng 于:yu 董:dong 萧:xiao 程:cheng 曹:cao 袁:yuan 邓:deng 许:xu
    傅:fu 沈:shen 曾:zeng 彭:peng 吕:lv 欧阳:ouyang 上官:shangguan
    """
)
ZH_GIVEN = _spelled(
    """
    伟:wei 芳:fang 娜:na 敏:min 静:jing 磊:lei 洋:yang 艳:yan 勇:yong
    杰:jie 娟:juan 涛:tao 明:ming 超:chao 秀英:xiuying 志强:zhiqiang
    建国:jianguo 晓东:xiaodong 雨桐:yutong 子涵:zihan 浩然:haoran
    欣怡:xinyi 思远:siyuan 嘉怡:jiayi 俊杰:junjie 梓萱:zixuan 文博:wenbo
    佳琪:jiaqi 立新:lixin 海燕:haiyan 国栋:guodong 丽华:lihua 一鸣:yiming
    诗涵:shihan 天宇:tianyu 雅婷:yating 宇轩:yuxuan 若曦:ruoxi
    鹏飞:pengfei 慧敏:huimin 永康:yongkang 月明:yueming 春梅:chunmei
    振华:zhenhua 婉清:wanqing 承泽:chengze 晨曦:chenxi 云飞:yunfei
    """
)
EN_SURNAMES = _words(
    """
    Adler Bennett Calloway Dawson Ellery Fairbanks Granger Hartley Ingram Jameson Kendrick
    Lawson Mercer Norwood Okafor Patel Quimby Ramsey Sinclair Thorne Underhill Vaughn Whitaker
    Yardley Zeller Abara Bloom Castellanos Delgado Eriksen Fitzroy Gupta Haddad Ibrahim Jansen
    Kowalski Lindqvist Moreau Nakamura O'Brien Petrov Rossi Singh Tremblay Walsh
    """
)
EN_GIVEN = _words(
    """
    Alice Benjamin Clara Daniel Eleanor Felix Grace Henry Isla Jack Katherine Liam Maya Noah
    Olivia Priya Quentin Rachel Samuel Tessa Uma Victor Wendy Xavier Yasmin Zachary Amara Boris
    Chloe Diego Emily Farid Gemma Hugo Ingrid Jonas Keira Leo Mina Nadia Oscar Penelope Rafael
    Sofia Tom Valerie Will Zoe
    """
)

ROLES = {
    "decision_maker": Role(
        17,
        {
            "zh": (
                Post("总经理", "总经办"),
                Post("采购总监", "采购部"),
            ),
            "en": (
                Post("Managing Director", "Management"),
                Post("Chief Procurement Officer", "Procurement"),
            ),
        },
    ),
    "influencer": Role(
        27,
        {
            "zh": (
                Post("技术经理", "技术部"),
                Post("高级工程师", "研发部"),
            ),
            "en": (
                Post("Engineering Manager", "Engineering"),
                Post("Senior Engineer", "R&D"),
            ),
        },
    ),
    "user": Role(
        26,
        {
            "zh": (
                Post("生产主管", "生产部"),
                Post("仓库主管", "仓储部"),
            ),
            "en": (
                Post("Production Supervisor", "Operations"),
                Post("Warehouse Lead", "Logistics"),
            ),
        },
    ),
    "gatekeeper": Role(
        12,
        {
            "zh": (
                Post("总经理助理", "总经办"),
                Post("采购专员", "采购部"),
            ),
            "en": (
                Post("Executive Assistant", "Management"),
                Post("Purchasing Officer", "Procurement"),
            ),
        },
    ),
    "champion": Role(
        13,
        {
            "zh": (
                Post("运营经理", "运营部"),
                Post("项目经理", "项目部"),
            ),
            "en": (
                Post("Operations Manager", "Operations"),
                Post("Project Manager", "Projects"),
            ),
        },
    ),
    "blocker": Role(
        5,
        {
            "zh": (
                Post("财务总监", "财务部"),
                Post("法务经理", "法务部"),
            ),
            "en": (
                Post("Finance Director", "Finance"),
                Post("Legal Counsel", "Legal"),
            ),
        },
    ),
}
TAGS = {
    "zh": ("重点客户", "老客户", "展会", "价格敏感", "年框", "样品"),
    "en": ("key account", "repeat", "trade show", "price sensitive", "annual contract", "samples"),
}
PRODUCTS = (
    ("温度传感器", "temperature sensors"),
    ("工业轴承", "industrial bearings"),
    ("伺服电机", "servo motors"),
    ("LED 照明模组", "LED lighting modules"),
    ("防静电包装", "anti-static packaging"),
    ("条码扫描枪", "barcode scanners"),
    ("输送带", "conveyor belts"),
    ("电缆组件", "cable assemblies"),
    ("气动阀门", "pneumatic valves"),
    ("安全防护用品", "safety equipment"),
)
