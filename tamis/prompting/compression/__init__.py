"""Prompt compression: a prompt in, the words of it that matter out, within a token budget.

>>> from tamis.prompting.compression import compress, names
>>> ", ".join(names())
'llmlingua, longllmlingua, pcrl, random, selective-context, token-classifier, truncate'
>>> compress("one two three four", target_tokens=3, method="truncate", tokenizer=str.split).text
'one two three'
"""

from tamis.prompting.compression.advice import advise
from tamis.prompting.compression.evaluation import evaluate_compression
from tamis.prompting.compression.messages import compress_messages
from tamis.prompting.compression.methods import get, names
from tamis.prompting.compression.press import compress
from tamis.prompting.compression.result import Compressed, CompressedMessages

__all__ = [
    "Compressed",
    "CompressedMessages",
    "advise",
    "compress",
    "compress_messages",
    "evaluate_compression",
    "get",
    "names",
]
