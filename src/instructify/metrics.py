"""How a prediction is scored against its target: every metric is a number from 0 to 1, higher is better."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

_ARTICLES = frozenset(("a", "an", "the"))
_WORD = re.compile(r"[^\W_]+")
_STATED = re.compile(r"\banswers?(?:\s+is|\s+are|\s*[:=])|####|답(?:은|\s*[:=])", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?。](?=\s)")
_COPULA = re.compile(r"(?:입니다|이에요|예요|이다)$")
_NUMBER = re.compile(
    r"(?<![\w.,])[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+|(?=\.\d))(?:\.\d+)?(?:[eE][-+]?\d+)?(?![.,eE]?\d)"
)
_DENIED = re.compile(
    r"(?:\bnot|\bnever|n['’]t|\bthan)\b[^,;:\d]*\d|\d[^,;:]*(?:아니|아닙|아닌|않)", re.IGNORECASE
)
_QUANTITY = re.compile(rf"[$€£¥₩]?\s*({_NUMBER.pattern})\s*%?")


def accuracy(prediction: str, target: str) -> float:
    """Return 1.0 if the texts are equal, leading and trailing white space aside."""
    return float(prediction.strip() == target.strip())


def exact_match(prediction: str, target: str) -> float:
    """Return 1.0 if the texts are equal as `squad_words` sees them; without words, as they stand."""
    ours, theirs = squad_words(prediction), squad_words(target)
    return float(ours == theirs) if theirs else accuracy(prediction, target)


def token_f1(prediction: str, target: str) -> float:
    """Return the F1 of the words that the texts share, as SQuAD counts them (see `squad_words`)."""
    ours, theirs = squad_words(prediction), squad_words(target)
    if not ours or not theirs:
        return exact_match(prediction, target)
    return _f1((Counter(ours) & Counter(theirs)).total(), len(ours), len(theirs))


def rouge_l(prediction: str, target: str) -> float:
    """Return ROUGE-L: the F1 of the longest common subsequence of words (Lin 2004, section 3, beta 1).

    Words are runs of letters and digits of any script, in lower case. On ASCII text this is the
    `rougeL` of the rouge-score package without stemming; that package drops every letter outside
    a-z, so that Korean text has no words and scores 0.
    """
    ours, theirs = _words(prediction), _words(target)
    if not ours or not theirs:
        return 0.0
    return _f1(_common_subsequence(ours, theirs), len(ours), len(theirs))


def cot_answer_accuracy(prediction: str, target: str) -> float:
    """Return 1.0 if both texts come to the same answer (see `stated_answer`).

    Where the target's answer is a number, the sentence of the prediction's answer must hold just that
    number, whatever its unit, currency sign, thousands separators or trailing zeros, and neither deny it
    ("not 5", "5가 아닙니다") nor compare with it ("more than 5"); otherwise the answers, or the first
    sentence of the prediction's, are equal as `exact_match` sees them.
    """
    theirs, whole = stated_answer(target), stated_answer(prediction)
    sentence = _trimmed(_SENTENCE_END.split(whole, maxsplit=1)[0])
    quantity = _QUANTITY.fullmatch(theirs)
    if quantity:
        found = _NUMBER.findall(sentence)
        if _DENIED.search(sentence):
            return 0.0
        return float(len(found) == 1 and _value(found[0]) == _value(quantity[1]))
    return max(exact_match(whole, theirs), exact_match(sentence, theirs))


METRICS: Mapping[str, Callable[[str, str], float]] = {
    "accuracy": accuracy,
    "exact_match": exact_match,
    "token_f1": token_f1,
    "rouge_l": rouge_l,
    "cot_answer_accuracy": cot_answer_accuracy,
}
"""Metric name -> function of (prediction, target)."""

DECLARED: Mapping[str, str | None] = {
    **dict.fromkeys(("rouge", "rouge_l", "bleu"), "rouge_l"),
    **dict.fromkeys(("token_f1", "squad", "span_squad", "coqa_f1"), "token_f1"),
    **dict.fromkeys(("exact_match", "accuracy", "cot_answer_accuracy", "other", "trivia_qa"), None),
    **dict.fromkeys(("auc", "edit_distance", "mean_reciprocal_rank", "mean_squared_error", "multirc"), None),
    **dict.fromkeys(("pearson_correlation", "spearman_correlation"), None),
}
"""Name by which a template declares a metric -> the metric of what a model generates, exact_match for None.

They are ours and those of promptsource @ 7dab96a, promptsource/templates.py, as `metric_key` spells them.
"""


def metric_key(name: str) -> str:
    """Return a declared metric's name as DECLARED has it: in lower case, words joined by underscores."""
    return name.lower().replace(" ", "_").replace("-", "_")


def stated_answer(text: str) -> str:
    """Return the answer that a chain of thought comes to, or the whole text if it states none.

    The answer is the rest of the line after the last "answer is", "answer:", "답은", "정답은", "답:" or
    "####", without quotes, the full stop at its end and a Korean copula.
    """
    text = unicodedata.normalize("NFKC", text).replace("−", "-").strip()
    marks = list(_STATED.finditer(text))
    if marks:
        text = text[marks[-1].end() :].strip().partition("\n")[0]
    return _trimmed(text)


def states_answer(text: str) -> bool:
    """Tell whether a chain of thought states an answer, as `stated_answer` finds it."""
    return _STATED.search(unicodedata.normalize("NFKC", text)) is not None


def squad_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation and English articles.

    The normalisation is that of SQuAD's evaluate-v1.1.py (Rajpurkar et al. 2016), with the punctuation
    of every script, as in MLQA's mlqa_evaluation_v1.py (Lewis et al. 2020), but for three things:

    - articles stay where there is no other word, so that "A" is "(A)" but not "the" or nothing;
    - signs stay that make another number or formula, as in 3.5, 3/4, 2:30, 10-9, -5, <5, x+1 and 2*3 (the
      hyphen of F-16 goes), and where another sign between two digits goes they are parted (3~5, 1,2);
    - numbers of the same value are equal: 1,000 and 1000, 5.0 and 5, .5 and 0.5, but not 007 and 7.

    >>> squad_words("The 1,000.0 men, at 2:30!")
    ['1000', 'men', 'at', '2:30']
    """
    lower = _DASH.sub("-", unicodedata.normalize("NFC", text).lower().replace("$", ""))
    lower = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), lower)
    kept = {found.start() for found in _KEPT.finditer(lower)}
    marked = "".join("\0" if _sign(c) and n not in kept else c for n, c in enumerate(lower))
    words = [_plain(word) for word in _PARTED.sub(" ", marked).replace("\0", "").split()]
    return [word for word in words if word not in _ARTICLES] or words


_ASCII_SIGNS = frozenset("+<=>^`|~")  # what SQuAD calls punctuation and Unicode calls symbols, but for $
_DASH = re.compile("[‐‑‒–−]")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!,?\d)")
_KEPT = re.compile(
    r"(?<=\d)[-./:](?=\d)|(?<![^\W_])-(?=[€£¥₩]?\.?\d)|(?<![^\W_])\.(?=\d)"
    r"|(?<=[^\W_])[+*^=<>](?=[^\W_])|[<>](?=[-.]?\d)"
)
_PARTED = re.compile(r"(?<=\d)\0+(?=\d)")
_DECIMAL = re.compile(r"(-?)(0|[1-9]\d*|(?=\.\d))(?:\.(\d+))?")


def _sign(character: str) -> bool:
    return character in _ASCII_SIGNS or unicodedata.category(character).startswith("P")


def _plain(word: str) -> str:
    """Return a decimal number in its shortest form, anything else as it is."""
    number = _DECIMAL.fullmatch(word)
    if number is None:
        return word
    sign, whole, part = number[1], number[2] or "0", (number[3] or "").rstrip("0")
    value = f"{whole}.{part}" if part else whole
    return value if value == "0" else sign + value


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def _f1(common: int, ours: int, theirs: int) -> float:
    return 2 * common / (ours + theirs)


def _common_subsequence(left: list[str], right: list[str]) -> int:
    """Return the length of the longest common subsequence, one bit a word of `left`.

    Hyyrö 2004, "Bit-parallel LCS-length computation revisited".
    """
    places: dict[str, int] = {}
    for n, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << n
    every = (1 << len(left)) - 1
    row = every
    for word in right:
        hit = row & places.get(word, 0)
        row = ((row + hit) | (row - hit)) & every
    return len(left) - row.bit_count()


def _trimmed(answer: str) -> str:
    bare = answer.strip().rstrip(".!。").strip(" \"'“”‘’")
    return _COPULA.sub("", bare).strip(" \"'“”‘’")


def _value(number: str) -> Decimal:
    try:
        return Decimal(number.replace(",", ""))
    except InvalidOperation:  # an exponent beyond all bounds
        return Decimal("NaN")
