"""Make a model of GPT-2's shape (124 million parameters): make_model.py FOLDER TEXTS.

Its weights are random, its tokenizer learns from TEXTS, a JSON list. Files are written so that
transformers 4 reads them too. The last line printed is a JSON object with the number of
tokens of each text.
"""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast


def main(folder: Path, path: Path) -> None:
    """Write model and tokenizer."""
    texts = json.loads(path.read_text())
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=16000, initial_alphabet=alphabet, show_progress=False)
    words.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(folder)
    settings = folder / "tokenizer_config.json"  # as transformers 4 names a tokenizer's class
    told = json.loads(settings.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings.write_text(json.dumps(told))
    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
    print(json.dumps({"tokens": [len(words.encode(text).ids) for text in texts]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
