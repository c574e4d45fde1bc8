"""Company names as they are compared: without what says only which legal form a company has."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from app.kernel.tokens import fold

# Legal forms after the register's abbreviations of each country; matched as whole last words.
_FORMS: Final = """
    ab ag aps as asa bhd bv co company corp corporation cv doo ehf eg ek eurl gbr ges gmbh gmbhco inc incorporated
    kft kg kgaa kk lda limited llc llp lp ltd ltda mbh nv ohg oy oyj plc pte pty pvt rt sa sab sapi sarl sas sca
    sdn se sl slu sp spa spzoo srl sro ug ulc vof zoo zrt
"""
_LATIN_FORMS: Final = frozenset(_FORMS.split())
_CJK_FORMS: Final = re.compile(
    "(?:股份有限公司|有限责任公司|責任有限公司|有限公司|股份公司|控股公司|集团公司|集團公司|总公司|分公司|公司|集团|集團"
    "|控股|株式会社|合同会社|有限会社|주식회사)$"
)
_CJK_PREFIX: Final = re.compile("^(?:株式会社|合同会社|有限会社|주식회사)")
_LONGEST: Final = 200  # folding may lengthen a text eighteenfold, and an index takes 2,700 bytes
_WORD: Final = re.compile(r"[^\W_]+")
_DOTTED: Final = re.compile(r"\b((?:[^\W\d_]\.){2,}[^\W\d_]?)")
_CJK_GAP: Final = re.compile(
    r"(?<=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3])\s+(?=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3])"
)


@lru_cache(maxsize=4_096)
def company_core(name: str) -> str:
    """The name folded, without punctuation and without legal forms at its end; "" for a name of nothing else.

    `上海云帆科技股份有限公司` and `上海云帆科技公司` are one, so are `Müller Söhne GmbH & Co. KG` and `Muller Sohne`.
    A name that is nothing but a legal form stays as it is. Places stay: two towns are two companies.
    """
    folded = _DOTTED.sub(lambda match: match[1].replace(".", ""), fold(name))
    words = _WORD.findall(folded)
    kept = list(words)
    while len(kept) > 1 and kept[-1] in _LATIN_FORMS:
        kept.pop()
    core = _CJK_GAP.sub("", " ".join(kept))
    while True:
        bare = _CJK_PREFIX.sub("", _CJK_FORMS.sub("", core)).strip()
        if not bare or bare == core:
            return core[:_LONGEST]
        core = bare


def person_core(name: str) -> str:
    """A person's name folded, without punctuation, its words in order of the alphabet; Chinese without blanks.

    The order is dropped because forms and files disagree on which name comes first.
    """
    words = _WORD.findall(fold(name))
    if name.isascii():
        return " ".join(sorted(words))[:_LONGEST]
    folded = _CJK_GAP.sub("", " ".join(words))
    return " ".join(sorted(folded.split()))[:_LONGEST]
