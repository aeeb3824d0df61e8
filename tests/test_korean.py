"""The Korean library: who asks in which language, what known rows become, and the recipe over real data."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from build_kit import succeed
from compiled_kit import compare
from docs_kit import ROOT, blocks, commands, is_shown
from instructify.compose.marks import plain
from instructify.keys import Key
from instructify.recipe.load import load_recipe
from instructify.render.compiled import BatchTemplate, Rows
from instructify.render.filters import OWN
from instructify.templates import open_library
from instructify.templates.wording import static_prompt

DATA = ROOT.parent / "shared" / "data"
needs_data = [
    pytest.mark.shared,
    pytest.mark.skipif(not (DATA / "manifest.json").is_file(), reason="the real datasets are not here"),
]
RECIPE = ROOT / "recipes" / "korean.yaml"
LIBRARY = open_library(["builtin"], Path())

NLI = [
    {"premise": "가게는 월요일마다 쉰다.", "hypothesis": "가게가 쉬는 날이 있다.", "label": 0},
    {"premise": "가게는 월요일마다 쉰다", "hypothesis": "가게 주인은 젊은 사람!", "label": 1},
    {"premise": "가게는 월요일마다 쉰다.", "hypothesis": "가게는 쉬는 날이 없다.", "label": 2},
]
TAGGED = [
    "<세종대왕:PS>은 <1443년:DT>에 <한양:LC>에서 글자를 만들었다.",
    "3<5라고 <한빛은행:OG> 직원이 <오후 2시:TI>에 <두 번:QT> 말했고 <김나리:PS>도 들었다.",
]
SIMILAR = [("물이 차다.", "물이 차갑다.", 4.5), ("물이 차다.", "불이 뜨겁다.", 0.4), ("가자", "갈까?", 3.0)]


def tagged(sentence: str) -> dict[str, Any]:
    return {"sentence": sentence, "tokens": [*re.sub(r"<([^<>]*):[A-Z]{2}>", r"\1", sentence)]}


PARSED = {
    "sentence": "착한 동생이 그 책을 읽었다.",
    "index": [1, 2, 3, 4, 5],
    "word_form": ["착한", "동생이", "그", "책을", "읽었다."],
    "lemma": ["착하 ㄴ", "동생 이", "그", "책 을", "읽 었 다 ."],
    "pos": ["VA+ETM", "NNG+JKS", "MMD", "NNG+JKO", "VV+EP+EF+SF"],
    "head": [2, 5, 4, 5, 0],
    "deprel": ["VP_MOD", "NP_SBJ", "DP", "NP_OBJ", "VP"],
}
ASKED = {
    "title": "한강_(강)",
    "context": "한강은 서울을 지나 서해로 흐르는 강이다.",
    "question": "한강은 어디로 흐르는가? ",
    "answers": {"text": ["서해"], "answer_start": [11]},
}
ROWS: dict[str, list[dict[str, Any]]] = {
    "klue/nli": NLI,
    "kor_nli/xnli": NLI,
    "klue/sts": [
        {"sentence1": one, "sentence2": two, "labels": {"label": score, "binary-label": int(score >= 3)}}
        for one, two, score in SIMILAR
    ],
    "klue/ner": [tagged(sentence) for sentence in TAGGED],
    "klue/dp": [PARSED],
    "nsmc": [{"document": "두 번 봤다 ㅎㅎ", "label": 1}, {"document": "잤음", "label": 0}],
    "squad_kor_v1": [ASKED],
}
DATASETS = tuple(ROWS)


def templates(dataset: str) -> dict[str, Any]:
    return {template.name: template for template in LIBRARY.templates(dataset)}


EVERY = [(dataset, name) for dataset in DATASETS for name in templates(dataset)]


def outcomes(dataset: str, name: str, rows: list[dict[str, Any]] | None = None) -> list[Any]:
    """Return what becomes of the rows of a dataset, which is the same on every path."""
    return compare(templates(dataset)[name], pa.Table.from_pylist(rows or ROWS[dataset]))


# the library


def test_every_korean_dataset_can_be_asked_about_in_korean_and_in_english() -> None:
    assert len(EVERY) >= 7 * 12
    for dataset in DATASETS:
        found = templates(dataset).values()
        languages = Counter(template.languages for template in found)
        assert languages[("ko",)] >= 8 and languages[("en",)] >= 4, dataset
        assert set(languages) == {("ko",), ("en",)}
        assert sum(template.kind == "inverted" for template in found) >= 2
        assert any("| options" in template.body for template in found) or dataset == "squad_kor_v1"
        assert LIBRARY.task_info(dataset).language == "ko"


@pytest.mark.parametrize(("dataset", "name"), EVERY)
def test_the_name_of_a_template_tells_the_language_of_its_words(dataset: str, name: str) -> None:
    template = templates(dataset)[name]
    words = " ".join(static_prompt(template))
    assert template.languages == (name.split("_")[0],)
    hangul, latin = (len(re.findall(kind, words)) for kind in ("[가-힣]+", "[A-Za-z]{3,}"))
    if template.languages == ("ko",):
        assert not latin and (hangul or template.choices)
    else:
        assert latin > hangul


def test_held_out_clusters_are_those_of_the_same_tasks_in_other_languages() -> None:
    clusters = {dataset: LIBRARY.task_info(dataset).cluster for dataset in DATASETS}
    assert clusters["klue/nli"] == clusters["kor_nli/xnli"] == LIBRARY.task_info("world/entail3").cluster
    assert clusters["nsmc"] == LIBRARY.task_info("world/reviews").cluster
    assert clusters["klue/sts"] == LIBRARY.task_info("world/same_meaning").cluster
    assert clusters["squad_kor_v1"] == "extractive_qa"


# known rows


@pytest.mark.parametrize(("dataset", "name"), EVERY)
def test_every_template_makes_an_example_of_every_known_row(dataset: str, name: str) -> None:
    for outcome in outcomes(dataset, name):
        assert isinstance(outcome, tuple), outcome
        prompt, target = plain(outcome[0]), outcome[1]
        assert target
        assert "\n\n\n" not in prompt and "None" not in prompt
        assert not re.search(r"[은는이가을를과와]\([은는이가을를과와]\)|\(이\)라|\(으\)로", prompt)


@pytest.mark.parametrize("dataset", ["klue/nli", "kor_nli/xnli", "nsmc"])
def test_an_unlabelled_row_makes_no_example(dataset: str) -> None:
    rows = [{**row, "label": -1} for row in ROWS[dataset]]
    seen = 0
    for name, template in templates(dataset).items():
        if "label]" in template.body:
            seen += 1
            assert set(outcomes(dataset, name, rows)) <= {"unlabelled", "index-out-of-range"}
    assert seen >= 16


@pytest.mark.parametrize(
    ("dataset", "name", "targets"),
    [
        ("klue/nli", "ko_if_true", ["참", "알 수 없음", "거짓"]),
        ("klue/nli", "ko_entailed", ["함의한다", "함의하지 않는다", "함의하지 않는다"]),
        ("klue/nli", "ko_clash", ["아니요", "아니요", "네"]),
        ("kor_nli/xnli", "ko_defined", ["함의", "중립", "모순"]),
        ("kor_nli/xnli", "ko_contradicts", ["모순되지 않음", "모순되지 않음", "모순됨"]),
        ("klue/sts", "ko_score", ["4.5", "0.4", "3.0"]),
        ("klue/sts", "ko_same", ["네", "아니요", "네"]),
        ("klue/sts", "ko_whole_points", ["4", "0", "3"]),
        ("klue/sts", "ko_degree", ["거의 같다", "서로 관계없다", "꽤 비슷하다"]),
        ("klue/ner", "ko_mark", TAGGED),
        ("klue/ner", "ko_people", ["세종대왕", "김나리"]),
        ("klue/ner", "en_places", ["한양", "none"]),
        ("klue/ner", "ko_count", ["3", "4"]),
        ("klue/ner", "ko_which_kinds", ["인물, 장소, 날짜", "인물, 기관, 시간, 수량"]),
        ("klue/ner", "ko_first", ["세종대왕", "한빛은행"]),
        (
            "klue/ner",
            "ko_list_all",
            [
                "세종대왕: 인물\n1443년: 날짜\n한양: 장소",
                "한빛은행: 기관\n오후 2시: 시간\n두 번: 수량\n김나리: 인물",
            ],
        ),
        ("klue/dp", "ko_heads", ["2 5 4 5 0"]),
        ("klue/dp", "ko_subjects", ["동생이"]),
        ("klue/dp", "ko_objects", ["책을"]),
        ("klue/dp", "ko_under_the_last", ["동생이, 책을"]),
        (
            "klue/dp",
            "ko_arrows",
            ["착한 → 동생이\n동생이 → 읽었다.\n그 → 책을\n책을 → 읽었다.\n읽었다. → 뿌리"],
        ),
        ("klue/dp", "ko_restore", ["착한 동생이 그 책을 읽었다."]),
        ("nsmc", "ko_recommend", ["권한다", "권하지 않는다"]),
        ("nsmc", "ko_disappointed", ["틀리다", "맞다"]),
        ("squad_kor_v1", "ko_read", ["서해"]),
        ("squad_kor_v1", "ko_title", ["한강 (강)"]),
        ("squad_kor_v1", "ko_ask", ["한강은 어디로 흐르는가?"]),
    ],
)
def test_the_target_of_a_known_row_is_known(dataset: str, name: str, targets: list[str]) -> None:
    assert [outcome[1] for outcome in outcomes(dataset, name)] == targets


def test_particles_follow_the_quoted_words() -> None:
    prompts = [outcome[0] for outcome in outcomes("klue/nli", "ko_also_true")]
    assert '"가게는 월요일마다 쉰다."라는 말이' in prompts[0]
    assert '"가게 주인은 젊은 사람!"이라는 말도' in prompts[1]
    assert '"서해"가 답이 되는' in outcomes("squad_kor_v1", "ko_ask")[0][0]


def test_a_word_asked_about_is_the_word_that_is_answered_for() -> None:
    rows = [PARSED] * 60
    heads, functions, nexts = set(), set(), set()
    for outcome in outcomes("klue/dp", "ko_head", rows):
        heads.add((int(re.findall(r"(\d+)번째", outcome[0])[0]), outcome[1]))
    assert heads == {(1, "동생이"), (2, "읽었다."), (3, "책을"), (4, "읽었다.")}
    for outcome in outcomes("klue/dp", "ko_function", rows):
        functions.add((re.findall(r'어절 "(\S+)"', outcome[0])[0], outcome[1]))
    assert functions == {("착한", "관형어"), ("동생이", "주어"), ("책을", "목적어")}
    for outcome in outcomes("klue/dp", "ko_next_word", rows):
        nexts.add((re.findall(r'어절 "(\S+)"', outcome[0])[0], outcome[1]))
    assert nexts == {("착한", "네"), ("동생이", "아니요"), ("그", "네"), ("책을", "네")}
    kinds = {outcome[1] for outcome in outcomes("klue/ner", "ko_kind_of", [tagged(TAGGED[0])] * 60)}
    assert kinds == {"인물", "날짜", "장소"}


# the recipe and the guide


def test_the_recipe_uses_korean_templates_alone_and_holds_nli_out() -> None:
    recipe = load_recipe(RECIPE).recipe
    tasks = {"/".join(filter(None, (task.dataset, task.subset))): task for task in recipe.tasks}
    assert set(tasks) == set(DATASETS)
    assert all(task.templates.include == ["ko_*"] for task in recipe.tasks)
    assert recipe.held_out == ["nli"]


def test_what_the_guide_shows_is_what_its_commands_print(tmp_path: Path) -> None:
    shown = 0
    for block in blocks((ROOT / "docs" / "korean.md").read_text("utf-8")):
        if block.mark.startswith("file: "):
            path = tmp_path / block.mark.removeprefix("file: ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
            continue
        for one in commands(block.text):
            shown += 1
            printed = succeed(*one.command.split()[1:], cwd=tmp_path)
            assert is_shown(printed, one.output), printed
    assert shown == 1


def test_the_guide_counts_the_templates_as_they_are() -> None:
    guide = (ROOT / "docs" / "korean.md").read_text("utf-8")
    assert {"josa", "nfc"} <= set(OWN)
    for dataset in DATASETS:
        found = Counter(template.languages[0] for template in LIBRARY.templates(dataset))
        cluster = LIBRARY.task_info(dataset).cluster
        assert f"| `{dataset}` | {cluster} | {found['ko']} | {found['en']} |" in guide


class TestRealData:
    """Claims about all rows of the real datasets."""

    pytestmark = needs_data

    def test_no_template_drops_a_hundredth_of_its_rows(self) -> None:
        seen = kept = 0
        for dataset in DATASETS:
            files = sorted((DATA / dataset).glob("*.parquet"))
            table = pa.concat_tables([pq.read_table(path) for path in files])
            rows = Rows(table, np.arange(table.num_rows))
            for name, template in templates(dataset).items():
                batch = BatchTemplate(template).render(rows, Key.of("korean", name))
                dropped = sum(map(len, batch.dropped.values()))
                assert dropped < table.num_rows / 100, (dataset, name, batch.dropped)
                seen, kept = seen + table.num_rows, kept + len(batch.kept)
        assert seen > 300_000
        assert kept / seen > 0.9999

    def test_the_recipe_builds(self, tmp_path: Path) -> None:
        path = tmp_path / "recipes" / "korean.yaml"
        path.parent.mkdir()
        small = RECIPE.read_text("utf-8").replace("cap_per_dataset: 4000", "cap_per_dataset: 400")
        path.write_text(small, "utf-8")
        succeed("build", path, "--data-root", DATA, "-j", "1")
        dataset = pq.ParquetDataset(tmp_path / "build" / "korean" / "parquet")
        built = dataset.read(["dataset", "language", "cluster"])
        counted = Counter(built["dataset"].to_pylist())
        assert set(counted) == {"klue", "kor_nli", "nsmc", "squad_kor_v1"}
        assert set(built["language"].to_pylist()) == {"ko"}
        assert "nli" in built["cluster"].to_pylist()
