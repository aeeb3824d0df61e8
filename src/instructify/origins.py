"""Datasets that are one another under other names, or made from the same texts: a table of known facts.

Text comparison finds copies; this table also knows what it cannot see, such as translations, and splits of
one dataset that do not meet in the rows at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["alias", "origin"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What is declared of a dataset: `dataset[/subset]`, other names for it, and what it was made from."""

    name: str
    aliases: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """Datasets that belong together; a name stands for its subsets too.

    `kind` is `alias` where the rows are the same, or translated or explained, and `origin` where they are
    made from texts in common. `source` is where `why` is said.
    """

    names: tuple[str, ...]
    kind: Kind
    why: str
    source: str


@dataclass(frozen=True, slots=True)
class Relation:
    """That two datasets belong together, how, and why."""

    kind: Kind
    why: str


HUB_NAMES: Mapping[str, str] = {
    "aps/super_glue": "super_glue",
    "allenai/ai2_arc": "ai2_arc",
    "allenai/cosmos_qa": "cosmos_qa",
    "allenai/openbookqa": "openbookqa",
    "allenai/qasc": "qasc",
    "allenai/social_i_qa": "social_i_qa",
    "allenai/winogrande": "winogrande",
    "cornell-movie-review-data/rotten_tomatoes": "rotten_tomatoes",
    "deepmind/aqua_rat": "aqua_rat",
    "ehovy/race": "race",
    "facebook/xnli": "xnli",
    "fancyzhx/ag_news": "ag_news",
    "google/boolq": "super_glue/boolq",
    "google/xquad": "xquad",
    "knkarthick/dialogsum": "dialogsum",
    "nyu-mll/glue": "glue",
    "nyu-mll/multi_nli": "glue/mnli",
    "openai/gsm8k": "gsm8k",
    "rajpurkar/squad": "squad",
    "rajpurkar/squad_v2": "squad_v2",
    "rowan/hellaswag": "hellaswag",
    "stanfordnlp/imdb": "imdb",
    "stanfordnlp/snli": "snli",
    "stanfordnlp/sst2": "glue/sst2",
    "tau/commonsense_qa": "commonsense_qa",
}
"""Names on the Hugging Face hub, in lower case, and what the same datasets are called here."""

_FLAN = "arXiv:2301.13688, google-research/FLAN@e9e4ec6 flan/v2/cot_data"

FACTS: tuple[Fact, ...] = (
    Fact(("gsm8k", "flan_cot/gsm8k"), "alias", "the same problems", f"arXiv:2110.14168; {_FLAN}"),
    Fact(
        ("commonsense_qa", "ecqa", "flan_cot/ecqa", "cos_e"),
        "alias",
        "explanations written for CommonsenseQA's questions",
        f"ACL 2021.acl-long.238; arXiv:1906.02361; {_FLAN}",
    ),
    Fact(("qasc", "flan_cot/qasc"), "alias", "the same questions", _FLAN),
    Fact(("aqua_rat", "flan_cot/aqua"), "alias", "the same problems", _FLAN),
    Fact(("strategy_qa", "flan_cot/strategyqa"), "alias", "the same questions", _FLAN),
    Fact(("creak", "flan_cot/creak"), "alias", "the same claims", _FLAN),
    Fact(
        ("glue/sst2", "sst", "sst2", "rotten_tomatoes"),
        "origin",
        "the treebank annotates the sentences of Pang and Lee's movie reviews",
        "ACL D13-1170",
    ),
    Fact(
        ("glue/qnli", "squad", "squad_v2", "xquad", "adversarial_qa"),
        "origin",
        "paragraphs of SQuAD",
        "arXiv:1804.07461; arXiv:1910.11856; arXiv:2002.00293",
    ),
    Fact(
        ("glue/wnli", "super_glue/wsc", "super_glue/wsc.fixed", "winograd_wsc"),
        "origin",
        "the same Winograd schemas",
        "arXiv:1804.07461; arXiv:1905.00537",
    ),
    Fact(("winogrande",), "alias", "sizes of one dataset", "arXiv:1907.10641"),
    Fact(("glue/rte", "super_glue/rte"), "alias", "the same pairs", "arXiv:1905.00537"),
    Fact(("glue/ax", "super_glue/axb"), "alias", "the same diagnostic pairs", "arXiv:1905.00537"),
    Fact(
        ("super_glue/boolq", "natural_questions"),
        "origin",
        "questions of Natural Questions",
        "arXiv:1905.10044",
    ),
    Fact(("super_glue/copa", "xcopa"), "alias", "translations of COPA", "arXiv:2005.00333"),
    Fact(
        ("super_glue/record", "cnn_dailymail"), "origin", "passages of CNN and Daily Mail", "arXiv:1810.12885"
    ),
    Fact(
        ("glue/mnli", "multi_nli", "kor_nli/multi_nli"),
        "alias",
        "KorNLI translates MultiNLI",
        "arXiv:2004.03289",
    ),
    Fact(
        ("glue/mnli", "multi_nli", "xnli"),
        "origin",
        "XNLI's training split translates MultiNLI",
        "arXiv:1809.05053",
    ),
    Fact(
        ("snli", "esnli", "kor_nli/snli"),
        "alias",
        "SNLI's pairs, explained or translated",
        "arXiv:1812.01193; arXiv:2004.03289",
    ),
    Fact(("nsmc", "klue/ner"), "origin", "KLUE's NER takes sentences from NSMC", "arXiv:2105.09680"),
    Fact(("xnli", "kor_nli/xnli"), "alias", "KorNLI translates XNLI", "arXiv:2004.03289"),
    Fact(("glue/stsb", "kor_nlu/sts"), "alias", "KorSTS translates STS-B", "arXiv:2004.03289"),
    Fact(
        ("ai2_arc/ARC-Easy", "ai2_arc/ARC-Challenge"),
        "origin",
        "two parts of one pool of questions",
        "arXiv:1803.05457",
    ),
    Fact(("hellaswag", "swag"), "origin", "contexts of ActivityNet Captions", "arXiv:1905.07830"),
    Fact(
        ("dialogsum", "dream", "daily_dialog", "mutual"),
        "origin",
        "DialogSum sums up dialogues of DailyDialog, DREAM and MuTual",
        "arXiv:2105.06762",
    ),
)


def relation(one: Identity, other: Identity, facts: Sequence[Fact] = FACTS) -> Relation | None:
    """Return how two datasets belong together, or None; what is declared comes before the table."""
    ours, theirs = _names(one), _names(other)
    if any(_covers(a, b) or _covers(b, a) for a in ours for b in theirs):
        return Relation("alias", "the same dataset")
    for a in sorted(ours | set(map(_known, one.origin))):
        for b in sorted(theirs | set(map(_known, other.origin))):
            if _covers(a, b) or _covers(b, a):
                return Relation("origin", f"texts of {min(a, b, key=len)}, as declared")
    for fact in facts:
        if all(any(_covers(f.lower(), name) for f in fact.names for name in side) for side in (ours, theirs)):
            return Relation(fact.kind, f"{fact.why} ({fact.source})")
    return None


def _names(of: Identity) -> set[str]:
    return {_known(name) for name in (of.name, *of.aliases)}


def _known(name: str) -> str:
    """Return a name as the tables have it: lower case, without the hub's owner where it is known."""
    name = name.lower()
    for hub, ours in HUB_NAMES.items():
        if _covers(hub, name):
            return ours + name[len(hub) :]
    return name


def _covers(name: str, other: str) -> bool:
    """Tell whether `other` is `name` or a subset of it."""
    return other == name or other.startswith(name + "/")
