import pytest

pytest.importorskip("transformers", reason='pip install "tamis[models]"')

import tamis
from tests.models.test_vllm import QUICK, same, settings

__all__ = ["settings"]

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore"),  # vLLM and what it imports warn of many things
]

TEXT = "The sky is blue, and the sea below it is bluer still. " * 8


def test_vllm_reads_summary_vectors_as_transformers_does(settings, tmp_path):
    import torch

    from tamis.prompting import SummaryVectors

    sv = SummaryVectors("bundled", slots=6, segment=32, lora=4)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():  # so that merging has something to merge
        for weight in sv.weights().values():
            weight += 0.02 * torch.randn(weight.shape, generator=noise)
    sv.save_reader(tmp_path)
    engine = tamis.models.load(f"vllm:{tmp_path}?enable_prompt_embeds=true", **QUICK)
    vectors = sv.encode(TEXT)
    for prompt in ("The sky is", [{"role": "user", "content": "Tea?"}]):
        ours = sv.generate(vectors, prompt, max_tokens=8)
        its = sv.generate(vectors, prompt, lm=engine, max_tokens=8)
        assert same([its], [ours])
        assert ours.text
