"""Training runs: exact, resumable, and learning what the data says and nothing else."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import build_kit
import finetune_kit
from instructify.errors import InstructifyError, LockedError
from instructify.finetune import Settings, finetune, log
from instructify.finetune.card import card_text
from instructify.finetune.checkpoint import _digest, latest_checkpoint
from instructify.finetune.data import encode, read_texts
from instructify.finetune.loop import IGNORED, _backward, _batch
from instructify.finetune.run import prepare
from instructify.publish.lock import exclusive
from instructify.recipe.training import Finetune, ModelSection
from instructify.seq2seq import load_seq2seq


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return finetune_kit.make_build(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return finetune_kit.make_model(tmp_path_factory.mktemp("model") / "micro", dropout_rate=0.1)


def run(tmp_path, build, model, name="run", restart=False, seed=0, **section):
    loaded = finetune_kit.make_recipe(tmp_path, build, model, **section)
    watcher = finetune_kit.Watched()
    settings = Settings(build, tmp_path / name, "cpu", 1, restart)
    return finetune(loaded, seed, settings, watcher), watcher


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "examples_per_second")} for line in lines]


def test_a_run_killed_between_checkpoints_ends_with_the_bytes_of_an_unbroken_one(tmp_path, build, model):
    section = {"steps": 40, "accumulate": 2, "checkpoint_every": 4, "log_every": 3}
    loaded = finetune_kit.make_recipe(tmp_path, build, model, **section)
    command = ["finetune", loaded.path, "--threads", "1", "--device", "cpu", "--quiet", "--run"]
    build_kit.succeed(*command, tmp_path / "whole")
    broken = tmp_path / "broken" / "finetune" / "seed-0"
    arguments = [*build_kit.COMMAND, *map(str, command), str(tmp_path / "broken")]
    process = subprocess.Popen(arguments, env=build_kit.environment(PYTHONHASHSEED="7"))
    deadline = time.monotonic() + 120
    while not ((broken / "metrics.jsonl").exists() and len(metrics(broken)) >= 2):  # beyond step 4
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert latest_checkpoint(broken / "checkpoints") is not None
    assert not (broken / "run.json").exists()
    build_kit.succeed(*command, tmp_path / "broken")
    whole = tmp_path / "whole" / "finetune" / "seed-0"
    assert files(whole / "adapter") == files(broken / "adapter")
    assert metrics(whole) == metrics(broken)
    assert [line["step"] for line in metrics(whole)] == [*range(3, 40, 3), 40]
    assert not list((tmp_path / "broken").rglob("*.tmp"))


def test_full_fine_tuning_resumes_exactly_too(tmp_path, build, model, monkeypatch):
    section = {"method": "full", "steps": 6, "checkpoint_every": 2}
    whole, _ = run(tmp_path, build, model, "whole", **section)

    class KilledError(Exception):
        pass

    def die(self, line):
        if line["step"] == 4:
            raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(log.MetricsFile, "write", die)
        run(tmp_path, build, model, "broken", **section)
    resumed, watcher = run(tmp_path, build, model, "broken", **section)
    assert files(whole.folder / "adapter") == files(resumed.folder / "adapter")
    assert watcher.done == watcher.phases[0][1] == 24


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"name": "google/flan-t5-small", "commit": "a" * 40}, "AutoPeftModelForSeq2SeqLM"),
        ({"name": "tiny", "commit": None}, "the folder `world/tiny` of the installed package"),
        ({"name": "../models/mine", "commit": None}, "`../models/mine`, a folder, relative to the recipe"),
    ],
)
def test_a_card_says_how_to_load_the_base_it_has_and_counts_well(model, said):
    section = {**Finetune(warmup=0.005).model_dump(mode="json"), "batch_size": 1}
    data = {"build": "toy", "examples": 1, "content_hash": "c" * 64, "manifest_sha256": "m" * 64}
    facts = {"finetune": section, "data": data, "model": model, "seed": 0, "steps": 1, "loss": 1.0}
    card = card_text("toy", {**facts, "parameters": {"trainable": 1, "all": 2}, "too_long": 1, "dropped": 1})
    assert said in card
    assert ("AutoPeft" in card) == (model["commit"] is not None)
    assert "linear after 0.5 % warmup" in card
    assert "1 training example," in card and "1 of 1 example |" in card
    assert "1 example over them, left out" in card


def test_a_finished_run_says_what_made_it_and_is_left_alone(tmp_path, build, model):
    done, watcher = run(tmp_path, build, model)
    record = json.loads((done.folder / "run.json").read_text())
    assert record == dict(done.record)
    assert record["complete"] is True
    manifest = json.loads((build / "manifest.json").read_text())
    assert record["data"]["manifest_sha256"] == manifest["manifest_sha256"]
    assert record["data"]["content_hash"] == manifest["content_hash"]
    base = load_seq2seq(ModelSection(name=str(model)), tmp_path)
    assert record["model"]["model_hash"] == base.model_hash
    assert record["model"]["tokenizer_hash"] == base.tokenizer_hash
    assert record["finetune"]["learning_rate"] == 1e-3
    assert 0 < record["parameters"]["trainable"] < record["parameters"]["all"]
    assert record["peak_memory_bytes"] > 10_000_000
    assert {p.name for p in done.folder.iterdir()} == {"adapter", "metrics.jsonl", "run.json"}
    assert watcher.phases == [("seed 0", 24, "examples")]
    assert "loss" in watcher.notes[-1]
    card = (done.folder / "adapter" / "README.md").read_text()
    assert manifest["content_hash"] in card
    assert "LoRA, rank 16" in card
    assert f"The base model is `{model}`, a folder, relative to the recipe;" in card
    before = files(done.folder)
    for left in ("checkpoints", "tmp"):  # by a process killed just after run.json was written
        (done.folder / left).mkdir()
        (done.folder / left / "file").touch()
    again, watcher = run(tmp_path, build, model)
    assert again.before and not watcher.phases
    assert files(done.folder) == before
    weights = done.folder / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(InstructifyError, match="adapter: is not what the training left"):
        run(tmp_path, build, model)
    weights.unlink()
    with pytest.raises(InstructifyError, match="adapter: the adapter has no adapter_model"):
        run(tmp_path, build, model)
    run(tmp_path, build, model, restart=True)
    before["metrics.jsonl"] = (done.folder / "metrics.jsonl").read_bytes()  # speeds and times differ
    before["run.json"] = (done.folder / "run.json").read_bytes()
    assert files(done.folder) == before


def test_another_run_in_the_same_folder_is_refused_until_restart(tmp_path, build, model):
    first, _ = run(tmp_path, build, model)
    with pytest.raises(InstructifyError, match="other settings") as caught:
        run(tmp_path, build, model, learning_rate=0.5)
    assert "--restart" in str(caught.value)
    run(tmp_path, build, model, log_every=1)  # decides no weight
    second, _ = run(tmp_path, build, model, learning_rate=0.5, restart=True)
    assert first.record["identity"] != second.record["identity"]
    assert not second.before
    assert metrics(second.folder)[0]["learning_rate"] > 0.1


def test_a_restart_that_cannot_begin_leaves_the_old_run_as_it_is(tmp_path, build, model, monkeypatch):
    done, _ = run(tmp_path, build, model)
    before = files(done.folder)

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(log, "import_module", missing)
    for what, section in {
        "over the budgets": {"max_input_tokens": 4},
        "no training example": {"max_input_tokens": 1, "on_too_long": "drop"},
        "no layer of the model has the name 'query'": {"targets": ["query"]},
        "trackio is not installed": {"log_to": ["trackio"]},
    }.items():
        with pytest.raises(InstructifyError, match=what):
            run(tmp_path, build, model, restart=True, **section)
    with pytest.raises(InstructifyError, match="no such model folder"):
        run(tmp_path, build, tmp_path / "gone", restart=True)
    with pytest.raises(InstructifyError, match=r"no manifest\.json"):
        run(tmp_path, tmp_path / "gone", model, restart=True)
    assert files(done.folder) == before


def test_a_damaged_record_or_log_is_named_with_its_place(tmp_path, build, model, monkeypatch):
    done, _ = run(tmp_path, build, model, keep_checkpoints=True)
    record = done.folder / "run.json"
    whole = json.loads(record.read_text())
    for damaged, said in {
        "{": "cannot be read",
        "[]": "is not an object",
        "[" * 99_999: "cannot be read",
        json.dumps(whole | {"finetune": 3}): "finetune: ",
        json.dumps(whole | {"identity": None}): "identity: ",
        json.dumps({**whole, "model": {}}): r"model\.name: ",
    }.items():
        record.write_text(damaged)
        with pytest.raises(InstructifyError, match=rf"run\.json: {said}"):
            run(tmp_path, build, model, keep_checkpoints=True)
    record.unlink()
    lines = (done.folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    deep = b"[" * 99_999 + b"\n"
    for damaged in (b"{\n", b"[]\n", b'{"loss": 1.0}\n', b"\xff\n", b'{"step": Infinity}\n', deep):
        (done.folder / "metrics.jsonl").write_bytes(lines[0] + damaged + lines[2])
        with pytest.raises(InstructifyError, match=r"metrics\.jsonl:2: is no logged step"):
            run(tmp_path, build, model, keep_checkpoints=True)
    (done.folder / "metrics.jsonl").write_bytes(b"".join(lines) + b'{"step": 7, "lo')  # cut short by a kill
    run(tmp_path, build, model, keep_checkpoints=True)
    assert (done.folder / "metrics.jsonl").read_bytes() == b"".join(lines)


@pytest.mark.parametrize(
    ("key", "value"), [("epochs", ".inf"), ("epochs", "1.0e+300"), ("learning_rate", ".inf")]
)
def test_a_number_without_end_is_refused_with_its_line(tmp_path, build, model, key, value):
    loaded = finetune_kit.make_recipe(tmp_path, build, model)
    loaded.path.write_text(loaded.path.read_text().replace("finetune:", f"finetune:\n  {key}: {value}"))
    (problem,) = build_kit.fail("finetune", loaded.path)
    assert f"finetune.{key}: got the number" in problem and "toy.yaml:" in problem


def test_a_disk_that_refuses_weights_is_one_line_and_training_goes_on_later(tmp_path, build, model):
    loaded = finetune_kit.make_recipe(tmp_path, build, model)
    command = ["finetune", loaded.path, "--threads", "1", "--device", "cpu", "--quiet"]
    (problem,) = build_kit.fail(
        *command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))
    )
    assert "step-00000002.safetensors: cannot write" in problem
    assert problem.endswith("training goes on from the checkpoint before")
    build_kit.succeed(*command)


def test_a_checkpoint_of_another_run_is_refused(tmp_path, build, model):
    done, _ = run(tmp_path, build, model, keep_checkpoints=True)
    (done.folder / "run.json").unlink()
    with pytest.raises(InstructifyError, match="checkpoint is of a run with other settings"):
        run(tmp_path, build, model, keep_checkpoints=True, batch_size=2)


def rewritten(path, change):
    """Write a checkpoint anew, changed as a function of its header and tensors says."""
    with safe_open(path, framework="pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header, tensors)
    save_file(tensors, path, metadata=header)


def sealed(change):
    """Return the change with a checksum that is right for it, so that only later checks can find it."""

    def changed(header, tensors):
        change(header, tensors)
        header["sha256"] = _digest(tensors, header)

    return changed


def progress(**fields):
    """Return a change of some fields of the progress."""

    def change(header, tensors):
        header["progress"] = json.dumps(json.loads(header["progress"]) | fields)

    return change


def one_weight(header, tensors):
    tensors[min(name for name in tensors if name.startswith("weight/"))].view(-1)[-1] += 1e-6


def narrowed(header, tensors):
    name = min(name for name in tensors if name.startswith("weight/"))
    tensors[name] = tensors[name][:1].clone()  # copy_ would spread it over all rows


def lost(header, tensors):
    del tensors[min(tensors)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (one_weight, "is not what the training wrote"),
        (progress(step=4), "is not what the training wrote"),
        (sealed(narrowed), r"has no weight/\S+ of shape \[16, "),
        (sealed(lost), r"has no exp_avg/\S+ of shape"),
        (sealed(progress(epoch=1)), "cannot be read: ValidationError"),
        (sealed(progress(step="6")), "cannot be read: ValidationError"),
        (sealed(progress(seconds=float("nan"))), "cannot be read: ValidationError"),
        (sealed(lambda header, tensors: header.update(progress="[]")), "cannot be read: ValidationError"),
        (lambda header, tensors: header.update(progress="[" * 99_999), "cannot be read: ValidationError"),
        (lambda header, tensors: header.pop("sha256"), "cannot be read: ValueError: its header lacks sha256"),
    ],
)
def test_a_checkpoint_that_is_not_what_training_wrote_is_one_error(
    tmp_path, interrupted, build, model, change, said
):
    shutil.copytree(interrupted.parents[1], tmp_path / "run")
    path = latest_checkpoint(tmp_path / "run" / "finetune" / "seed-0" / "checkpoints")
    rewritten(path, sealed(lambda header, tensors: None))  # what is not changed is taken
    untouched = path.read_bytes()
    rewritten(path, change)
    assert path.read_bytes() != untouched
    with pytest.raises(
        InstructifyError, match=rf"step-00000006\.safetensors: the checkpoint {said}"
    ) as caught:
        run(tmp_path, build, model, keep_checkpoints=True)
    assert len(caught.value.problems) == 1 and "expected --restart" in str(caught.value)
    path.write_bytes(untouched)
    run(tmp_path, build, model, keep_checkpoints=True)
    path.write_bytes(untouched[:-100])
    (tmp_path / "run" / "finetune" / "seed-0" / "run.json").unlink()
    with pytest.raises(InstructifyError, match="checkpoint cannot be read: SafetensorError"):
        run(tmp_path, build, model, keep_checkpoints=True)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, build, model):
    """The folder of a seed that trained to its last checkpoint and was killed before run.json was written."""
    done, _ = run(tmp_path_factory.mktemp("killed"), build, model, keep_checkpoints=True)
    (done.folder / "run.json").unlink()
    return done.folder


@pytest.mark.parametrize(("place", "relation"), [(".", "is"), ("..", "holds"), ("runs/toy", "lies in")])
def test_a_run_does_not_go_where_the_build_lies(tmp_path, build, model, place, relation):
    own = shutil.copytree(build, tmp_path / "parent" / "build")
    before = files(tmp_path / "parent")
    loaded = finetune_kit.make_recipe(tmp_path, own, model)
    for command in ("finetune", "evaluate"):
        (problem,) = build_kit.fail(command, loaded.path, "--run", own / place)
        assert f"the folder of the run {relation} the folder of the build" in problem
    assert files(tmp_path / "parent") == before


def test_seeds_train_apart_and_one_at_a_time(tmp_path, build, model):
    first, _ = run(tmp_path, build, model, seed=0)
    second, _ = run(tmp_path, build, model, seed=1)
    assert first.folder.name == "seed-0" and second.folder.name == "seed-1"
    assert files(first.folder / "adapter") != files(second.folder / "adapter")
    with (
        exclusive(first.folder.with_name(".seed-0.lock"), first.folder),
        pytest.raises(LockedError, match="seed-0: this seed is being trained"),
    ):
        run(tmp_path, build, model, seed=0)


def gradients(model, tmp_path, build, parts, **section):
    base = load_seq2seq(ModelSection(name=str(model)), tmp_path)
    settings = Finetune(dropout=0.0, **section)
    examples = encode(read_texts(build), base.tokenizer, settings, 0, encoder_eos=True)
    net = prepare(base.model, settings, 0).eval()
    if section.get("gradient_checkpointing"):
        net.train()  # activations are only computed twice in training mode
    rows = [range(start, start + 12 // parts) for start in range(0, 12, 12 // parts)]
    loss, tokens = _backward(net, [_batch(examples, part, 0, "cpu") for part in rows])
    assert tokens == sum(examples.targets.lengths[:12])
    return loss, {name: p.grad for name, p in net.named_parameters() if p.requires_grad}


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    return finetune_kit.make_model(tmp_path_factory.mktemp("calm") / "micro", dropout_rate=0.0)


@pytest.mark.parametrize("changed", [{"parts": 3}, {"gradient_checkpointing": True}])
def test_accumulation_and_checkpointing_leave_the_gradient_as_it_is(tmp_path, build, calm, changed):
    loss, plain = gradients(calm, tmp_path, build, 1)
    other_loss, other = gradients(calm, tmp_path, build, **({"parts": 1} | changed))
    assert loss == pytest.approx(other_loss, rel=1e-6)
    assert plain.keys() == other.keys() and len(plain) > 20
    assert any(gradient.abs().sum() > 0 for gradient in plain.values())
    for name, gradient in plain.items():
        torch.testing.assert_close(gradient, other[name], rtol=1e-4, atol=1e-7)


def test_padding_is_masked_in_prompts_and_ignored_in_targets(tmp_path, build, calm):
    base = load_seq2seq(ModelSection(name=str(calm)), tmp_path)
    examples = encode(read_texts(build), base.tokenizer, Finetune(), 0, encoder_eos=True)
    batch = _batch(examples, range(40), base.tokenizer.pad_token_id, "cpu")
    lengths = examples.inputs.lengths[:40]
    assert len(set(lengths)) > 1
    assert batch["attention_mask"].sum(1).tolist() == lengths.tolist()
    ignored = (batch["labels"] == IGNORED).sum(1) + torch.tensor(examples.targets.lengths[:40])
    assert set(ignored.tolist()) == {batch["labels"].shape[1]}


def correct(folder, build, model, tmp_path):
    """Return the share of rows of both toy words that the tuned model labels right."""
    tuned = load_seq2seq(ModelSection(name=str(model)), tmp_path, adapter=folder / "adapter")
    right = []
    for row in finetune_kit.rows(36, 9000):
        prompt = tuned.tokenizer(f"{row['text']} the review is", return_tensors="pt")
        scores = []
        for label in finetune_kit.LABELS:
            ids = torch.tensor([tuned.tokenizer(label)["input_ids"]])
            with torch.inference_mode():
                scores.append(-float(tuned.model(**prompt, labels=ids).loss) * ids.shape[1])
        right.append(scores.index(max(scores)) == row["label"])
    return sum(right) / len(right)


def test_training_learns_what_the_targets_say_and_shuffled_targets_teach_nothing(tmp_path, build, calm):
    section = {"method": "full", "steps": 150, "batch_size": 16, "learning_rate": 3e-3, "log_every": 50}
    section |= {"checkpoint_every": 1000}
    taught, _ = run(tmp_path, build, calm, "taught", **section)
    control, _ = run(tmp_path, build, calm, "control", **section, shuffle_targets=True)
    assert correct(taught.folder, build, calm, tmp_path) > 0.95
    assert 0.2 < correct(control.folder, build, calm, tmp_path) < 0.8
    assert taught.record["loss"] < 0.2 < control.record["loss"]
    assert "shuffled, as a negative control" in (control.folder / "adapter" / "README.md").read_text()


@pytest.mark.parametrize("method", ["lora", "full"])
def test_bfloat16_trains_and_keeps_what_is_learned_in_float32(tmp_path, build, model, method):
    loaded = finetune_kit.make_recipe(tmp_path, build, model, method=method)
    section = loaded.recipe.model.model_copy(update={"dtype": "bfloat16"})
    recipe = loaded.recipe.model_copy(update={"model": section})
    loaded = type(loaded)(recipe, loaded.path, loaded.base, loaded.text_sha256)
    settings = Settings(build, tmp_path / "run", "cpu", 1)
    done = finetune(loaded, 0, settings, finetune_kit.Watched())
    assert 0 < done.record["loss"] < 20
    tuned = load_seq2seq(ModelSection(name=str(model)), tmp_path, adapter=done.folder / "adapter")
    assert {p.dtype for p in tuned.model.parameters()} == {torch.float32}


def test_chosen_targets_get_adapters(tmp_path, build, model):
    done, _ = run(tmp_path, build, model, "qv", targets=["q", "v"], r=4)
    config = json.loads((done.folder / "adapter" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["q", "v"]
    assert config["base_model_name_or_path"] == str(model)


def test_each_target_must_name_linear_layers_other_than_the_output_head(tmp_path, build, model):
    with pytest.raises(InstructifyError) as caught:
        run(tmp_path, build, model, targets=["q", "w1_0", "shared", "lm_head", "encoder"])
    assert [problem.what for problem in caught.value.problems] == [
        "no layer of the model has the name 'w1_0'",
        "'shared' is no linear layer but Embedding",
        "'lm_head' is the output head, which gets no adapter",
        "'encoder' is no linear layer but T5Stack",
    ]
    assert [problem.nearest for problem in caught.value.problems] == ["wi_0", "", "", ""]
    assert {problem.expected for problem in caught.value.problems} == {
        "all-linear, or some of k, o, q, v, wi_0, wi_1, wo"
    }


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, build, model):
    with pytest.raises(InstructifyError, match=r"not finite at step \d"):
        run(tmp_path, build, model, method="full", learning_rate=1e30, max_grad_norm=1e30, warmup=0.0)


def test_a_missing_tracker_is_told_before_training(tmp_path, build, model, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(log, "import_module", missing)
    for tracker in log.TRACKERS:
        with pytest.raises(InstructifyError, match=f"{tracker} is not installed"):
            run(tmp_path, build, model, tracker, log_to=[tracker])


def test_a_tracker_gets_every_line(tmp_path, build, model, monkeypatch):
    said = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, step):
            said.append((name, step))

        def close(self):
            said.append("closed")

    class Module:
        SummaryWriter = Writer

    monkeypatch.setattr(log, "import_module", lambda name: Module)
    run(tmp_path, build, model, log_to=["tensorboard"])
    assert [step for name, step in said[:-1] if name == "loss"] == [2, 4, 6]
    assert said[-1] == "closed"


def test_the_command_says_where_what_is_missing(tmp_path, build, model):
    with pytest.raises(InstructifyError, match=r"nowhere: there is no manifest\.json"):
        run(tmp_path, tmp_path / "nowhere", model)
    with pytest.raises(InstructifyError, match="no_model: there is no such model folder"):
        run(tmp_path, build, tmp_path / "no_model")
    loaded = finetune_kit.make_recipe(tmp_path, build, model)
    text = loaded.path.read_text().replace("model:", "model:\n  dtype: float16")
    loaded.path.write_text(text)
    (problem,) = build_kit.fail("finetune", loaded.path)
    assert "float16 overflows" in problem and "toy.yaml:" in problem


def test_the_command_prints_json_and_plain_progress(tmp_path, build, model):
    loaded = finetune_kit.make_recipe(tmp_path, build, model, seeds=[3, 4])
    printed = build_kit.succeed("finetune", loaded.path, "--run", tmp_path / "r", "--json", "--threads", "1")
    assert [done["seed"] for done in json.loads(printed)] == [3, 4]
    done = build_kit.cli("finetune", loaded.path, "--run", tmp_path / "q", "--seed", "9", "--threads", "1")
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1].startswith("seed 9: 24 of 24 examples, step 6 of 6, loss ")
    assert len(done.stderr.splitlines()) < 4, done.stderr
    assert (tmp_path / "q" / "finetune" / "seed-9" / "run.json").is_file()
    assert "note: 9 is not one of the recipe's seeds" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"evaluate {loaded.path} --run {tmp_path / 'q'}")
