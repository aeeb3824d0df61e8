"""Models come from a folder, the hub or the package by one path, and leave as folders others can load."""

from __future__ import annotations

import json
import pickle
import shutil

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM

import finetune_kit
from instructify import seq2seq
from instructify.errors import InstructifyError
from instructify.finetune.run import prepare
from instructify.finetune.save import save_merged, save_tuned, untied_config
from instructify.recipe.training import Finetune, ModelSection
from instructify.seq2seq import load_seq2seq, quiet


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose output head is not its embedding, as FLAN-T5's, saved by transformers 5."""
    return finetune_kit.make_model(tmp_path_factory.mktemp("model") / "micro")


def logits(model):
    ids = torch.arange(3, 60).reshape(3, -1)
    with torch.inference_mode():
        return model(input_ids=ids, labels=ids % 11).logits


def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_a_folder_is_found_beside_the_recipe_and_loads_ready_to_score(folder):
    loaded = load_seq2seq(ModelSection(name=folder.name), folder.parent)
    assert not loaded.model.training
    assert loaded.name == "micro" and loaded.revision is None
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    half = load_seq2seq(ModelSection(name=folder.name, dtype="bfloat16"), folder.parent)
    assert next(half.model.parameters()).dtype == torch.bfloat16
    assert (half.model_hash, half.tokenizer_hash) == (loaded.model_hash, loaded.tokenizer_hash)


def test_the_hashes_follow_config_weights_and_tokenizer(folder, tmp_path):
    section, place = ModelSection(name="copy"), copied(folder, tmp_path)
    first = load_seq2seq(section, tmp_path)
    weights = load_file(place / "model.safetensors")
    weights["shared.weight"][0, 0] += 1
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    second = load_seq2seq(section, tmp_path)
    text = (place / "tokenizer.json").read_text()
    (place / "tokenizer.json").write_text(text + "\n")
    third = load_seq2seq(section, tmp_path)
    assert first.model_hash != second.model_hash == third.model_hash
    assert first.tokenizer_hash == second.tokenizer_hash != third.tokenizer_hash


def test_everything_that_a_folder_lacks_is_told_at_once(tmp_path):
    with pytest.raises(InstructifyError) as caught:
        load_seq2seq(ModelSection(name="."), tmp_path)
    assert [p.what.split(" has no ")[1].split(" or ")[0] for p in caught.value.problems] == [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
    ]
    with pytest.raises(InstructifyError, match="no such model folder"):
        load_seq2seq(ModelSection(name="./none"), tmp_path)


def test_broken_folders_end_in_one_line_that_names_them(folder, tmp_path):
    place, section = copied(folder, tmp_path), ModelSection(name="copy")
    weights = load_file(place / "model.safetensors")
    lost = weights.pop("decoder.block.0.layer.0.SelfAttention.q.weight")
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InstructifyError, match=r"weights lack 1 tensors, as decoder\.block\.0"):
        load_seq2seq(section, tmp_path)
    assert lost.numel()
    (place / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InstructifyError, match="cannot be loaded: SafetensorError"):
        load_seq2seq(section, tmp_path)
    (place / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(InstructifyError, match="gpt2 is no encoder-decoder"):
        load_seq2seq(section, tmp_path)
    (place / "config.json").write_text("{")
    with pytest.raises(InstructifyError, match="copy: cannot be loaded"):
        load_seq2seq(section, tmp_path)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_in_the_place_of_weights_is_not_run(folder, tmp_path):
    place, sprung = copied(folder, tmp_path), tmp_path / "sprung"
    (place / "model.safetensors").unlink()
    torch.save({"shared.weight": Trap(sprung)}, place / "pytorch_model.bin")
    with pytest.raises(InstructifyError, match="cannot be loaded"):
        load_seq2seq(ModelSection(name="copy"), tmp_path)
    (place / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(InstructifyError, match="cannot be loaded"):
        load_seq2seq(ModelSection(name="copy"), tmp_path)
    assert not sprung.exists()


def test_a_hub_name_is_fetched_and_its_commit_kept(folder, tmp_path, monkeypatch):
    commit = tmp_path / ("a" * 40)
    shutil.copytree(folder, commit)
    asked = []

    def fetch(name, *, revision, allow_patterns):
        asked.append((name, revision))
        return str(commit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    loaded = load_seq2seq(ModelSection(name="someone/model", revision="main"), tmp_path)
    assert asked == [("someone/model", "main")]
    assert loaded.revision == "a" * 40
    assert torch.equal(
        logits(loaded.model), logits(load_seq2seq(ModelSection(name=str(folder)), tmp_path).model)
    )


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("LocalEntryNotFoundError", "the hub cannot be reached"),
        ("ConnectError", "the hub cannot be reached"),
        ("RepositoryNotFoundError", "no such model on the hub"),
        ("GatedRepoError", "the model is gated"),
        ("SomethingElse", "cannot be fetched: SomethingElse"),
    ],
)
def test_what_the_hub_says_becomes_one_line(kind, said, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise type(kind, (Exception,), {})("one line\nanother line")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(InstructifyError) as caught:
        load_seq2seq(ModelSection(), tmp_path)
    assert said in str(caught.value) and "google/flan-t5-small" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_training_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InstructifyError) as caught:
        load_seq2seq(ModelSection(name="tiny"), tmp_path)
    assert str(caught.value).startswith("torch, transformers, peft not installed; expected")
    assert "pip install 'instructify[train]'" in str(caught.value)


def tuned(folder, tmp_path, method):
    """Save a model whose trained weights were moved at random, and return it with its folder."""
    choice = ModelSection(name=str(folder))
    base = load_seq2seq(choice, tmp_path).model
    model = prepare(base, Finetune(method=method), 0)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn_like(parameter)
    save_tuned(model.eval(), choice, folder, "# card\n", tmp_path / "adapter")
    return choice, model, tmp_path / "adapter"


def test_an_adapter_that_lacks_a_tensor_or_has_one_too_many_is_refused_and_names_it(folder, tmp_path):
    choice, _, saved = tuned(folder, tmp_path, "lora")
    path = saved / "adapter_model.safetensors"
    whole = load_file(path)
    names = sorted(whole)
    save_file({name: whole[name] for name in names[1:-1]}, path)
    with pytest.raises(InstructifyError) as caught:
        load_seq2seq(choice, tmp_path, adapter=saved)
    (problem,) = caught.value.problems
    assert problem.what == f"the adapter lacks 2 tensors, as {names[0]}"
    odd = names[0].replace("block.0", "block.7")
    save_file({**whole, odd: whole[names[0]].clone()}, path)
    with pytest.raises(InstructifyError) as caught:
        load_seq2seq(choice, tmp_path, adapter=saved)
    assert f"the adapter's config has no place for 1 tensors, as {odd}" in str(caught.value)
    save_file(whole, path)
    load_seq2seq(choice, tmp_path, adapter=saved)


def test_an_adapter_folder_that_lacks_a_file_says_which(folder, tmp_path):
    choice, _, saved = tuned(folder, tmp_path, "lora")
    for name, said in (
        ("adapter_model.safetensors", "the adapter has no adapter_model.safetensors or adapter_model.bin"),
        ("adapter_config.json", "holds neither an adapter nor a whole model"),
    ):
        (saved / name).unlink()
        with pytest.raises(InstructifyError, match=f"adapter: {said}"):
            load_seq2seq(choice, tmp_path, adapter=saved)
    (saved / "config.json").write_text("{}")
    with pytest.raises(InstructifyError, match=r"adapter: the model folder has no model\.safetensors"):
        load_seq2seq(choice, tmp_path, adapter=saved)
    shutil.rmtree(saved)
    with pytest.raises(InstructifyError, match="adapter: there is no such folder"):
        load_seq2seq(choice, tmp_path, adapter=saved)


def test_weights_in_several_files_load_and_a_damaged_index_of_them_is_named(folder, tmp_path):
    place, section = copied(folder, tmp_path), ModelSection(name="copy")
    whole = load_seq2seq(section, tmp_path)
    (place / "model.safetensors").rename(place / "model-00001-of-00001.safetensors")
    index = place / "model.safetensors.index.json"
    weights = load_file(place / "model-00001-of-00001.safetensors")
    names = dict.fromkeys(weights, "model-00001-of-00001.safetensors")
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": names}))
    assert torch.equal(logits(load_seq2seq(section, tmp_path).model), logits(whole.model))
    damaged = ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', '{"weight_map": {"a": []}}']
    for text in damaged:
        index.write_text(text)
        with pytest.raises(InstructifyError, match=r"index\.json: cannot be read"):
            load_seq2seq(section, tmp_path)
    for name in ("gone.safetensors", "../copy/model-00001-of-00001.safetensors"):
        index.write_text(json.dumps({"weight_map": dict.fromkeys(names, name)}))
        with pytest.raises(InstructifyError, match=r"index\.json: there is no weight file '.*' beside it"):
            load_seq2seq(section, tmp_path)


def test_what_a_killed_process_left_half_written_is_cleared_away(folder, tmp_path):
    left = tmp_path / f".adapter-{'0a' * 16}"
    others = [tmp_path / ".adapter-notes", tmp_path / f".merged-{'0a' * 16}"]
    for place in (left, *others):
        place.mkdir()
    tuned(folder, tmp_path, "lora")
    assert not left.exists()
    assert all(place.is_dir() for place in others)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_was_trained_comes_back_alone_and_merged(folder, tmp_path, method):
    choice, model, saved = tuned(folder, tmp_path, method)
    again = load_seq2seq(choice, tmp_path, adapter=saved)
    assert torch.equal(logits(again.model), logits(model))
    assert not torch.allclose(logits(again.model), logits(load_seq2seq(choice, tmp_path).model), atol=1e-2)
    save_merged(choice, tmp_path, saved, tmp_path / "merged")
    merged = load_seq2seq(ModelSection(name="merged"), tmp_path)
    torch.testing.assert_close(logits(merged.model), logits(model), rtol=1e-4, atol=1e-4)
    assert merged.tokenizer("the village")["input_ids"] == again.tokenizer("the village")["input_ids"]
    assert (saved / "README.md").read_text() == "# card\n"
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in (tmp_path / "merged").iterdir())


def test_an_untied_head_is_said_to_be_untied_for_earlier_versions(folder, tmp_path):
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is True  # the trap
    choice, model, saved = tuned(folder, tmp_path, "lora")
    save_merged(choice, tmp_path, saved, tmp_path / "merged")
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert config["tie_word_embeddings"] is False
    assert "scale_decoder_outputs" not in config
    weights = load_file(tmp_path / "merged" / "model.safetensors")
    assert not torch.equal(weights["lm_head.weight"], weights["shared.weight"])
    with quiet():
        plain = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(logits(plain), logits(model), rtol=1e-4, atol=1e-4)


def test_a_head_that_is_the_embedding_but_not_scaled_is_written_out(folder, tmp_path):
    place = copied(folder, tmp_path)
    weights = load_file(place / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    choice, model, saved = tuned(place, tmp_path, "lora")
    save_merged(choice, tmp_path, saved, tmp_path / "merged")
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["tie_word_embeddings"] is False
    assert "lm_head.weight" in load_file(tmp_path / "merged" / "model.safetensors")
    merged = load_seq2seq(ModelSection(name="merged"), tmp_path).model
    torch.testing.assert_close(logits(merged), logits(model), rtol=1e-4, atol=1e-4)


def test_a_tied_head_stays_tied_and_scaled(folder, tmp_path):
    place = copied(folder, tmp_path)
    config = json.loads((place / "config.json").read_text())
    del config["scale_decoder_outputs"]
    (place / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    weights = load_file(place / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    choice, model, saved = tuned(place, tmp_path, "lora")
    save_merged(choice, tmp_path, saved, tmp_path / "merged")
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["tie_word_embeddings"] is True
    merged = load_seq2seq(ModelSection(name="merged"), tmp_path).model
    assert merged.config.scale_decoder_outputs
    assert torch.equal(merged.lm_head.weight, merged.shared.weight)
    torch.testing.assert_close(logits(merged), logits(model), rtol=1e-4, atol=1e-4)


def test_other_architectures_keep_their_config():
    assert untied_config({"model_type": "bart", "tie_word_embeddings": True}) == {
        "model_type": "bart",
        "tie_word_embeddings": True,
    }


def test_the_device_must_exist(folder, tmp_path):
    with pytest.raises(InstructifyError, match="the device 'cuda:9' cannot be used"):
        load_seq2seq(ModelSection(name=str(folder)), tmp_path, device="cuda:9")


def test_tiny_is_a_folder_of_the_package(tmp_path):
    assert seq2seq.model_folder(ModelSection(name="tiny"), tmp_path) == (seq2seq.TINY_FOLDER, None)
