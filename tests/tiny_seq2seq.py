"""A random T5 of a few thousand weights with a tokenizer of its own, as a model folder; and a slow scorer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from instructify.finetune.save import untied_config

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TEXT = [
    "the sentence says that a village has a mill and the claim follows from it: yes, no or perhaps",
    "does the review praise the inn or not? positive negative true false entailment contradiction neutral",
    *LETTERS,
    *LETTERS.upper(),
    "0 1 2 3 4 5 6 7 8 9 . , : ; ? ! - ' \" ( )",
]


def tokenizer() -> Any:
    """Return a small byte-level tokenizer; as T5's, it ends a text unless told not to."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(TEXT, trainer)
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def save(folder: Path, words: Any = None, **shape: Any) -> Path:
    """Write a random model of the given shape to a folder, the same weights every time."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    words = words or tokenizer()
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2} | shape
    torch.manual_seed(3)
    config = T5Config(
        vocab_size=sizes.pop("vocab_size", 320),
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        pad_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id,
        **sizes,
    )
    model = T5ForConditionalGeneration(config)
    # a head of its own, as FLAN-T5's; transformers 5 would make it the embedding
    model.all_tied_weights_keys.pop("lm_head.weight")
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) / 2)
    model.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(untied_config(json.loads(path.read_text("utf-8")))), encoding="utf-8")
    words.save_pretrained(folder)
    return folder


def slow_loglikelihood(model: Any, prompt: list[int], choice: list[int]) -> float:
    """Return the log-likelihood of one choice given one prompt: a whole forward pass for every token."""
    import torch

    net, total = model.model, 0.0
    source = torch.tensor([prompt])
    so_far = [net.config.decoder_start_token_id]
    with torch.inference_mode():
        for token in choice:
            logits = net(input_ids=source, decoder_input_ids=torch.tensor([so_far])).logits[0, -1]
            total += torch.log_softmax(logits.double(), -1)[token].item()
            so_far.append(token)
    return total
