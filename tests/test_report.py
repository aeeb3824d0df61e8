"""The report says what the files of a run say, in words, whatever strangers wrote into them."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest

from instructify.errors import InstructifyError
from instructify.report import write_report
from instructify.report.chart import loss_curves, template_dots
from instructify.report.text import fenced, line, points, shown
from report_kit import HOSTILE, RETENTION, SHOWCASE, Task, make_run, make_training


@pytest.fixture(scope="module")
def showcase(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("report"), SHOWCASE, models=("tuned", "shuffled"))
    return write_report(run)


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text outside of styles."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def section(page_text, task):
    return page_text.partition(f"{task} (")[2].partition("Scores by template")[0]


def test_a_report_says_in_words_what_improved_got_worse_and_showed_no_effect(showcase):
    text = Page(showcase.html.read_text("utf-8")).text
    assert "Of 6 held-out datasets, tuning improved 2 and made 1 worse; on 3 no effect was found" in text
    verdicts = {finding.scored.task: finding.verdict for finding in showcase.findings.datasets}
    assert verdicts["reviews/inns"] == verdicts["sums/words"] == "improved"
    assert verdicts["story/ends"] == "got worse"
    assert verdicts["nli/entail3"] == verdicts["tiny/same"] == "no effect found"
    assert "Tuning raised the mean by" in section(text, "reviews/inns")
    assert "8 of 8 templates improved" in section(text, "reviews/inns")
    assert "Tuning lowered the mean by" in section(text, "story/ends")
    nothing = section(text, "nli/entail3")
    assert "No effect found: the mean changed by" in nothing
    assert "would have been found in four experiments of five" in nothing
    assert "so the interval is widened" in section(text, "tiny/same")


def test_a_table_that_is_wider_than_the_page_shows_at_its_edge_that_there_is_more(showcase):
    css = re.search(r"<style>(.*?)</style>", showcase.html.read_text("utf-8"), re.S)[1]
    (scroll,) = re.findall(r"^\.scroll \{(.*?)\}", css, re.M | re.S)
    assert scroll.count("var(--shade)") == 2 and scroll.count("no-repeat local") == 2
    assert css.count("--shade: #") == 2, "one for paper, one for the dark"
    assert "background: none" in css.partition("@media print")[2]


def test_the_tokens_that_the_build_counted_stand_beside_its_tasks(showcase):
    for text in (Page(showcase.html.read_text("utf-8")).text, showcase.markdown.read_text("utf-8")):
        assert "median 41, most 1,090" in text
        assert "median 2, most 7" in text


def test_where_the_base_saw_the_task_the_word_is_retention(showcase):
    text = Page(showcase.html.read_text("utf-8")).text
    assert RETENTION["note"] in section(text, "story/ends")
    rows = {row[0].text: row[2] for row in showcase.page.headline.rows}
    assert (rows["story/ends"].text, rows["story/ends"].small) == ("seen the task", "retention")
    assert (rows["nli/entail3"].text, rows["nli/entail3"].small) == ("not seen it", "zero-shot")


def test_the_numbers_are_those_of_the_scores(tmp_path):
    run = make_run(tmp_path, [Task("one", documents=40)], seeds=(0, 1))
    written = write_report(run)
    rows = pq.read_table(run / "evaluation" / "scores.parquet").to_pylist()
    right = {}
    for row in rows:
        cell = right.setdefault((row["model"], row["template"]), [])
        cell.append(row["metrics"][0]["value"])
    means = {key: sum(values) / len(values) for key, values in right.items()}
    change = written.findings.datasets[0].change
    for n, template in enumerate(("first", "second", "third")):
        assert change.before_by_template[n] == pytest.approx(means["base", template])
        assert change.after_by_template[n] == pytest.approx(means["tuned", template])
    cells = dict(zip(written.page.headline.columns, written.page.headline.rows[0], strict=True))
    assert cells["random"].text == cells["majority"].text == "50.0"
    assert cells["choice prior"].text == "50.0 → 50.0"
    assert cells["base"].text == f"{100 * sorted(change.before_by_template)[1]:.1f}"
    assert cells["tuned"].text == f"{100 * sorted(change.after_by_template)[1]:.1f}"
    assert cells["change, points"].text == points(change.mean)


def test_generated_answers_have_a_column_for_chains_of_thought_and_their_other_metrics(showcase):
    assert showcase.page.headline.columns[-1] == "chain of thought"
    cells = {row[0].text: row[-1].text for row in showcase.page.headline.rows}
    assert "→" in cells["sums/words"]
    assert cells["nli/entail3"] == "–"
    assert [(row[0].text, row[1].text) for row in showcase.page.others.rows] == [
        ("sums/words", "exact_match"),
        ("sums/words", "token_f1"),
    ]


def test_negative_controls_are_reported_apart(showcase):
    assert {row[0].text for row in showcase.page.controls.rows} == {"shuffled"}
    assert len(showcase.page.controls.rows) == len(SHOWCASE)
    assert "Negative control (shuffled): 0 of 6 datasets rose" in " ".join(showcase.page.summary)


def test_the_page_needs_nothing_from_elsewhere(showcase):
    html = showcase.html.read_text("utf-8")
    elements = Page(html).elements
    tags = {tag for tag, _ in elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert {"svg", "table", "details", "style"} <= tags
    names = {name for _, attrs in elements for name in attrs}
    assert not {name for name in names if name.startswith("on") or name in ("src", "href", "xlink:href")}
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html
    policy = next(attrs["content"] for tag, attrs in elements if "http-equiv" in attrs)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_elements_are_nested_and_closed(showcase):
    assert Page(showcase.html.read_text("utf-8")).open == []


def test_text_by_strangers_is_shown_and_does_nothing(showcase):
    html, markdown = showcase.html.read_text("utf-8"), showcase.markdown.read_text("utf-8")
    visible = HOSTILE
    for character in "\u202e\u202c\x00":
        visible = visible.replace(character, f"[U+{ord(character):04X}]")
    assert visible in Page(html).text
    for text in (html, markdown):
        assert not set("\u202e\u202c\x00") & set(text)
    prose = re.sub(r"(?ms)^(`{3,})$.*?^\1$", "", markdown)
    assert "<script>" in markdown  # in code blocks
    assert not re.search(r"(?<!\\)<(?!br>)", prose)
    assert f"````\n{visible} (" in markdown


def test_a_prompt_cannot_leave_its_code_block():
    for text in ("```", "a\n```\nb", "`````", "plain"):
        first, *inside, last = fenced(text).split("\n")
        assert first == last
        assert set(first) == {"`"}
        assert all(first not in row for row in inside)


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\x00", "\x1b", "\x85", "\u2028", "\ufeff"])
def test_characters_that_hide_or_turn_text_are_spelled_out(character):
    assert shown(f"a{character}b") == f"a[U+{ord(character):04X}]b"


def test_ordinary_text_of_any_script_is_left_alone():
    for text in ("a\n\tb", "한국어 텍스트", "naïve — “x”", "😀 עברית"):
        assert shown(text) == text


def test_markdown_prose_means_just_itself():
    assert line("a_b *c* <d>\n|e|") == r"a_b \*c\* \<d\> \|e\|"
    assert line("_x_ `y`") == r"\_x\_ \`y\`"


def test_the_bytes_depend_on_the_files_alone(showcase, tmp_path):
    copied = tmp_path / "copy"
    shutil.copytree(showcase.html.parent.parent, copied)
    code = "import sys; from pathlib import Path; from instructify.report import write_report; "
    code += "write_report(Path(sys.argv[1]), Path(sys.argv[2]))"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Seoul", "LC_ALL": "C"}
    command = [sys.executable, "-c", code, str(copied / "run"), str(copied / "build")]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    for name in ("report.html", "report.md"):
        assert (copied / "run" / name).read_bytes() == (showcase.html.parent / name).read_bytes()


def test_flipped_answers_show_the_prompt_and_both_models_log_likelihoods(showcase):
    section = next(s for s in showcase.page.sections if s.title.startswith("nli/entail3"))
    assert {flip.gained for flip in section.flips} == {True, False}
    for flip in section.flips:
        assert flip.prompt.startswith("전제: 고양이가")
        assert flip.choices == ("네", "아니요", "모르겠다")
        assert len(flip.before.loglikelihoods) == len(flip.after.loglikelihoods) == 3
        assert (flip.after.text == flip.target) == flip.gained
        assert (flip.before.text == flip.target) == (not flip.gained)


def test_without_the_build_the_report_is_whole_but_for_prompts(tmp_path):
    run = make_run(tmp_path, [Task("one", tuned=0.8)])
    shutil.rmtree(tmp_path / "build")
    written = write_report(run, out=tmp_path / "elsewhere" / "r.html")
    text = Page(written.html.read_text("utf-8")).text
    assert written.markdown == tmp_path / "elsewhere" / "r.md"
    assert "The prompt stands in the build that was scored, which was not at hand." in text
    assert "The build was not at hand; --build says where it is." in text
    assert "Of 1 held-out dataset, tuning improved 1" in text


def test_the_headline_of_a_dataset_is_the_main_metric_of_most_of_its_templates(tmp_path):
    ranked = Task("one", templates=("first", "second"))
    written = Task("one", templates=("other",), choices=(), metric="rouge_l")
    page = write_report(make_run(tmp_path, [ranked, written], with_build=False)).page
    assert [row[0].small for row in page.headline.rows] == ["cluster, accuracy"]
    assert [row[1].text for row in page.others.rows] == ["exact_match", "rouge_l", "token_f1"]


def test_what_evaluation_counted_against_a_score_stands_beside_it(tmp_path):
    run = make_run(tmp_path, [Task("one"), Task("two")], with_build=False)
    counts = {"examples": 180, "truncated": 90, "colliding": 1, "others": 2}
    change(run / EVALUATION, tasks=[{"task": "one", "variant": "zero_shot", **counts}])
    one, two = write_report(run).page.sections
    assert one.sentences[-3:] == (
        "Too long and therefore cut: 90 of 180 prompts.",
        "Choices that no model can tell apart, being the same tokens: 1 example.",
        "Left out of these scores: 2 templates with another main metric.",
    )
    assert not any("cut" in sentence or "Left out" in sentence for sentence in two.sentences)


def test_each_variant_of_a_dataset_is_reported_by_itself(tmp_path):
    tasks = [Task("one", templates=("first",), tuned=0.9), Task("two", templates=("first",))]
    run = make_run(tmp_path, tasks, with_build=False)
    path = run / "evaluation" / "scores.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows += [
        {**row, "variant": "few", "document": row["document"] + 500} for row in rows if row["task"] == "one"
    ]
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)
    forget(run, "scores_sha256")
    written = write_report(run)
    titles = ["one, variant few", "one, variant zero_shot", "two"]
    assert [finding.scored.title for finding in written.findings.datasets] == titles
    assert all(finding.scored.templates == ("first",) for finding in written.findings.datasets)
    assert [section.title for section in written.page.sections] == [f"{title} (accuracy)" for title in titles]
    assert [row[0].text for row in written.page.headline.rows] == [*titles, "average, variant zero_shot"]
    words = [row[2].small for row in written.page.headline.rows[:3]]
    assert words == ["unproven", "zero-shot", "zero-shot"]  # the facts of a task are its zero-shot prompts'
    assert "each variant of a dataset counts as one" in written.page.summary[0]
    command = [sys.executable, "-m", "instructify", "report", str(run), "--json"]
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert [(one["task"], one["variant"]) for one in said["datasets"]] == [
        ("one", "few"),
        ("one", "zero_shot"),
        ("two", "zero_shot"),
    ]


def test_a_dataset_with_too_few_documents_is_left_out_and_the_others_go_on(tmp_path):
    run = make_run(tmp_path / "some", [Task("one", tuned=0.9), Task("lone", documents=1)], with_build=False)
    written = write_report(run)
    assert "Of 1 held-out dataset, tuning improved 1" in written.page.summary[0]
    assert "lone is left out: too few documents to compare." in written.page.summary
    (finding,) = written.findings.datasets
    assert finding.p == finding.change.p
    cells = {
        row[0].text: dict(zip(written.page.headline.columns, row, strict=True))
        for row in written.page.headline.rows
    }
    assert cells["lone"]["finding"].text == "too few documents to compare"
    none = write_report(make_run(tmp_path / "none", [Task("lone", documents=1)], with_build=False))
    assert none.page.summary[0] == "No held-out dataset could be compared."
    assert "too few documents to compare" in Page(none.html.read_text("utf-8")).text


def test_no_possible_change_is_called_detectable(tmp_path):
    written = write_report(make_run(tmp_path, [Task("one", documents=3)], with_build=False))
    (finding,) = written.findings.datasets
    assert finding.change.detectable > 1
    text = Page(written.html.read_text("utf-8")).text
    assert "No change that is possible would have been found in four experiments of five." in text
    assert "A true change of" not in text
    cells = dict(zip(written.page.headline.columns, written.page.headline.rows[0], strict=True))
    assert cells["detectable"].text == "none"


def test_a_build_made_anew_since_is_told_from_one_that_is_gone(tmp_path):
    run = make_run(tmp_path, [Task("one", tuned=0.9)])
    change(run / EVALUATION, build={"path": str(tmp_path / "build"), "content_hash": "01" * 32})
    text = Page(write_report(run).html.read_text("utf-8")).text
    assert "The build that was scored (content hash 010101010101) was not at hand" in text
    assert "in its folder lies another (efefefefefef)" in text


def forget(run, key):
    path = run / "evaluation" / "evaluation.json"
    document = json.loads(path.read_text("utf-8"))
    del document[key]
    path.write_text(json.dumps(document), "utf-8")


EVALUATION = "evaluation/evaluation.json"


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), "utf-8")


def cut_scores(run):
    path = run / "evaluation" / "scores.parquet"
    path.write_bytes(path.read_bytes()[:-20])


def log(run, text):
    (run / "finetune" / "seed-1" / "metrics.jsonl").write_text(text)


def only_base(run):
    path = run / "evaluation" / "scores.parquet"
    table = pq.read_table(path)
    rows = [row for row in table.to_pylist() if row["model"] == "base"]
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)
    forget(run, "scores_sha256")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "evaluation" / "evaluation.json").unlink(), "there is no such file"),
        (lambda run: (run / "evaluation" / "scores.parquet").unlink(), "there is no such file"),
        (
            lambda run: (run / "evaluation" / "evaluation.json").write_text("{"),
            "evaluation.json: cannot be read",
        ),
        (lambda run: (run / EVALUATION).write_text("[" * 100_000), "evaluation.json: cannot be read"),
        (lambda run: (run / EVALUATION).write_text("[]"), "evaluation.json: is not an object"),
        (cut_scores, "is not the file that evaluation.json speaks of"),
        (lambda run: (cut_scores(run), forget(run, "scores_sha256")), "cannot be read as scores"),
        (only_base, "holds no rows of the tuned model"),
        (lambda run: (run / "finetune/seed-1/run.json").write_text("[]"), "run.json: is not an object"),
        (lambda run: (run / "finetune/seed-1/run.json").write_text("{}"), "run.json: complete: "),
        (lambda run: change(run / "finetune/seed-1/run.json", finetune=[]), "run.json: finetune: "),
        (lambda run: change(run / "finetune/seed-1/run.json", seed="1"), "run.json: seed: "),
        (lambda run: change(run / EVALUATION, models=["base"]), r"evaluation.json: models\.0: "),
        (lambda run: change(run / EVALUATION, build=None), "evaluation.json: build: "),
        (lambda run: change(run / EVALUATION, build={"path": 5}), r"evaluation.json: build\.path: "),
        (lambda run: change(run / EVALUATION, notes=[1]), r"evaluation.json: notes\.0: "),
        (lambda run: change(run / EVALUATION, tasks=[{"task": ["x"]}]), r"evaluation.json: tasks\.0\.task: "),
        (lambda run: log(run, '{"step": Infinity, "loss": 1}'), "metrics.jsonl:1: is no logged step"),
        (lambda run: log(run, '{"step": 1.5, "loss": 1}'), "metrics.jsonl:1: is no logged step"),
        (lambda run: log(run, "[" * 100_000), "metrics.jsonl:1: is no logged step"),
        (lambda run: (run / "finetune/seed-1/metrics.jsonl").write_text("{}\nx"), "metrics.jsonl:2"),
    ],
)
def test_files_that_are_missing_or_broken_are_named(tmp_path, spoil, message):
    run = make_run(tmp_path, [Task("one", documents=5)], with_build=False)
    spoil(run)
    with pytest.raises(InstructifyError, match=message):
        write_report(run)
    assert not (run / "report.html").exists()


def test_numbers_that_are_none_are_printed_as_they_stand(tmp_path):
    run = make_run(tmp_path, [Task("one", documents=5)], seeds=(0,))
    change(run / "finetune/seed-0/run.json", seconds=float("nan"), peak_memory_bytes=float("inf"))
    change(run / EVALUATION, settings={"seconds": float("inf")}, build={"path": "a" * 5000})
    page = write_report(run).page
    assert {"NaN", "Infinity"} <= {cell.text for cell in page.seeds.rows[0]} | {
        text for _, text in page.trained
    }
    assert ("settings, seconds", "Infinity") in page.evaluated
    assert page.built == ()


def test_a_seed_that_was_trained_anew_is_not_shown_beside_its_old_scores(tmp_path):
    run = make_run(tmp_path, [Task("one", documents=5)])
    weights = run / "finetune/seed-1/adapter/adapter_model.safetensors"
    weights.write_bytes(b"trained anew")
    with pytest.raises(InstructifyError, match="seed-1: its model is not the one that was scored"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_trainings_that_were_not_scored_are_left_out_and_those_that_are_gone_are_named(tmp_path):
    run = make_run(tmp_path, [Task("one", documents=5)])
    make_training(run / "finetune" / "seed-9", 9)
    (run / "finetune/seed-1/run.json").unlink()  # a restart is under way
    change(run / EVALUATION, notes=["seed-3 is not trained"])
    written = write_report(run)
    notes = [
        "The training run seed-9 is left out: its model was not scored.",
        "Scored, but not in the run folder: tuned, seed 1.",
        "Seed-3 is not trained.",
    ]
    assert written.page.training[-3:] == tuple(notes)
    assert [row[0].text for row in written.page.seeds.rows] == ["0", "2"]
    for text in (Page(written.html.read_text("utf-8")).text, written.markdown.read_text("utf-8")):
        assert all(note in text for note in notes)
    done = subprocess.run(
        [sys.executable, "-m", "instructify", "report", str(run)], capture_output=True, text=True, check=True
    )
    assert "note: Scored, but not in the run folder: tuned, seed 1." in done.stdout


def test_a_prompt_is_only_quoted_from_the_file_that_was_published(tmp_path):
    run = make_run(tmp_path, [Task("one", tuned=0.9)])
    path = next((tmp_path / "build" / "data").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    with pytest.raises(InstructifyError, match="is not what the manifest says"):
        write_report(run)


def test_a_page_is_not_written_where_its_markdown_twin_goes(tmp_path):
    run = make_run(tmp_path, [Task("one", documents=5)])
    with pytest.raises(InstructifyError, match=r"whose Markdown twin .*; expected as mine\.html"):
        write_report(run, out=tmp_path / "mine.md")
    assert not (tmp_path / "mine.md").exists()


def test_another_build_than_the_one_scored_is_refused(tmp_path):
    run = make_run(tmp_path, [Task("one", documents=5)])
    path = run / "evaluation" / "evaluation.json"
    path.write_text(path.read_text("utf-8").replace("ef" * 32, "01" * 32), "utf-8")
    with pytest.raises(InstructifyError, match="is not the build that was scored"):
        write_report(run, tmp_path / "build")


def test_a_resumed_runs_repeated_steps_count_once(tmp_path):
    run = make_run(tmp_path, [Task("one", documents=5)], seeds=(0,))
    path = run / "finetune" / "seed-0" / "metrics.jsonl"
    path.write_text(path.read_text("utf-8") + json.dumps({"step": 200, "loss": 0.125}) + "\n", "utf-8")
    assert write_report(run).page.seeds.rows[0][-1].text == "0.125"


def test_a_loss_that_is_not_a_number_is_said_and_not_drawn(tmp_path):
    run = make_run(tmp_path, [Task("one", documents=5)], seeds=(0,))
    (run / "finetune" / "seed-0" / "metrics.jsonl").write_text('{"step": 1, "loss": NaN}\n', "utf-8")
    page = write_report(run).page
    assert page.losses == ""
    assert page.seeds.rows[0][-1].text == "nan"


LONG_RUN = tuple((step, 1 / step) for step in range(1, 5000))


@pytest.mark.parametrize("curve", [((1, 1.0), (2, 1.0)), LONG_RUN])
def test_a_loss_curve_is_drawn_inside_its_frame_from_few_points(curve):
    drawn = str(loss_curves({0: curve, 1: curve}))
    lines = re.findall(r'points="([^"]*)"', drawn)
    assert len(lines) == 2
    places = [tuple(map(float, pair.split(","))) for pair in lines[0].split()]
    assert 1 <= len(places) <= 300
    assert all(0 <= x <= 540 and 0 <= y <= 240 for x, y in places)


def test_the_loss_of_a_single_step_is_a_point():
    drawn = str(loss_curves({0: ((1, 2.0),), 1: ((1, 1.0), (2, 1.5))}))
    assert drawn.count("<circle") == drawn.count("<polyline") == 1


def test_a_drawing_escapes_template_names(showcase):
    finding = next(f for f in showcase.findings.datasets if f.scored.cluster == "tricky")
    drawn = str(template_dots(finding.change, (HOSTILE, "plain"), 0.5))
    assert "<script" not in drawn
    assert "&lt;script&gt;" in drawn


def test_the_command_writes_both_files_and_says_what_they_say(tmp_path):
    run = make_run(tmp_path, [Task("one", base=0.3, tuned=0.8)])
    command = [sys.executable, "-m", "instructify", "report", str(run)]
    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Of 1 held-out dataset, tuning improved 1" in plain.stdout
    assert (run / "report.html").is_file()
    assert (run / "report.md").is_file()
    data = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert data["datasets"][0]["finding"] == "improved"
    gone = subprocess.run([*command[:-1], str(tmp_path / "no")], capture_output=True, text=True, check=False)
    assert gone.returncode == 1
    assert gone.stderr.startswith("error: ")
    assert "Traceback" not in gone.stderr
