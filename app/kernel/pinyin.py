"""Pinyin of names: pypinyin with its dictionary of characters, and with those words in which names read otherwise.

Its own dictionary of 47,000 phrases takes 46 MB of each process and 0.2 s of its start, and hardly any of
them stands in the name of a person or company. Of 42,000 characters it has each reading in a text of its own,
and all of it twice: one reading and one copy are left, which is 7 MB less. Import this where a name is read,
not at the head of a module.
"""

from __future__ import annotations

import os
from typing import Final

os.environ.setdefault("PYPINYIN_NO_PHRASES", "true")  # pypinyin reads it when it is imported

from pypinyin import lazy_pinyin, load_phrases_dict, pinyin_dict
from pypinyin.constants import PINYIN_DICT

__all__ = ["STARTS", "WORDS", "lazy_pinyin"]

WORDS: Final = {
    word: reading.split()
    for word, _, reading in (
        line.strip().partition(" ")
        for line in """
        重庆 chong qing; 重阳 chong yang; 重生 chong sheng; 重组 chong zu; 银行 yin hang; 行业 hang ye
        商行 shang hang; 洋行 yang hang; 车行 che hang; 分行 fen hang; 支行 zhi hang; 总行 zong hang
        同行 tong hang; 央行 yang hang; 农行 nong hang; 工行 gong hang; 建行 jian hang; 招行 zhao hang
        拍卖行 pai mai hang; 行情 hang qing; 行家 hang jia; 行长 hang zhang; 音乐 yin yue; 乐器 yue qi
        乐队 yue dui; 乐团 yue tuan; 乐章 yue zhang; 乐谱 yue pu; 声乐 sheng yue; 器乐 qi yue; 民乐 min yue
        乐亭 lao ting; 乐清 yue qing; 首都 shou du; 成都 cheng du; 都市 du shi; 都会 du hui; 古都 gu du
        帝都 di du; 都江堰 du jiang yan; 厦门 xia men; 会计 kuai ji; 空调 kong tiao; 调味 tiao wei
        调料 tiao liao; 西藏 xi zang; 藏药 zang yao; 藏族 zang zu; 宝藏 bao zang; 传记 zhuan ji
        人参 ren shen; 海参 hai shen; 党参 dang shen; 西洋参 xi yang shen; 参茸 shen rong; 便宜 pian yi
        东阿 dong e; 阿胶 e jiao; 铅山 yan shan; 蚌埠 beng bu; 六安 lu an; 番禺 pan yu; 泌阳 bi yang
        尉犁 yu li; 中牟 zhong mu; 牟平 mu ping; 秘鲁 bi lu; 柏林 bo lin; 给水 ji shui; 供给 gong ji
        薄荷 bo he; 模具 mu ju; 模板 mu ban; 弹簧 tan huang; 弹性 tan xing; 长安 chang an; 长城 chang cheng
        长沙 chang sha; 长春 chang chun; 长江 chang jiang; 长虹 chang hong; 长兴 chang xing; 长乐 chang le
        长青 chang qing; 长征 chang zheng; 长汀 chang ting; 长白山 chang bai shan; 单于 chan yu; 万俟 mo qi
        尉迟 yu chi; 龟兹 qiu ci; 绿林 lu lin; 校正 jiao zheng; 对称 dui chen; 地壳 di qiao; 星宿 xing xiu
        角色 jue se; 主角 zhu jue; 劲松 jing song; 还原 huan yuan; 朝晖 zhao hui; 朝霞 zhao xia; 佛山 fo shan
        佛教 fo jiao; 大埔 da bu; 吴堡 wu bu; 犍为 qian wei
        """.replace("\n", ";").split(";")
        if line.strip()
    )
}
"""Words and their syllables, where one of the characters usually reads otherwise."""

STARTS: Final = frozenset(word[0] for word in WORDS)
"""What these words begin with."""

load_phrases_dict({word: [[syllable] for syllable in reading] for word, reading in WORDS.items()})


def _keep_one_reading() -> None:
    """Characters are asked for their first reading only; most of them share it with dozens of others."""
    shared: dict[str, str] = {}
    for character, readings in PINYIN_DICT.items():
        first = readings.partition(",")[0]
        PINYIN_DICT[character] = shared.setdefault(first, first)
    pinyin_dict.pinyin_dict.clear()


_keep_one_reading()
