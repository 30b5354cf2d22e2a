"""Soft compression: a long text in, a few states of a language model out.

`SummaryVectors` and `ICAE` write embeddings, which any server that takes prompt embeddings
reads: the first with the model that wrote them, for a text of any length; the second with the
base model as it was. `Gist` and `Nugget` keep keys and values of every layer, which
transformers reads: of a few tokens put after an instruction, and of a share of a text's own.
"""

from tamis.prompting.soft.gist import Gist
from tamis.prompting.soft.icae import ICAE
from tamis.prompting.soft.nugget import Nugget
from tamis.prompting.soft.states import KeptStates
from tamis.prompting.soft.summary_vectors import SummaryVectors

__all__ = ["ICAE", "Gist", "KeptStates", "Nugget", "SummaryVectors"]
