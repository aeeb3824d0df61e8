"""A small tokenizer for tests of the composition: of bytes, or of a few words and letters."""

from __future__ import annotations

from pathlib import Path


def write_tokenizer(path: Path, kind: str = "bytes") -> Path:
    """Write a `tokenizer.json` that normalises to NFKC and ends every text with </s>."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    if kind == "bytes":
        letters = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "</s>"]
        vocabulary = {letter: number for number, letter in enumerate(letters)}
        made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    else:
        pieces = [("<unk>", 0.0), ("</s>", 0.0), ("▁", -3.0), ("▁tea", -1.0), ("milk", -1.0), ("a", -2.0)]
        made = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.normalizer = normalizers.NFKC()
    ending = [("</s>", made.token_to_id("</s>"))]
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=ending)
    made.save(str(path))
    return path
