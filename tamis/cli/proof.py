"""`tamis compress --check` and `--advise`: what compressing costs, and what it brings."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tamis.cli.screen import out, print_json, print_table
from tamis.errors import SettingError

__all__ = ["advise_on", "check_compression"]


def check_compression(
    data: Path,
    rows: int,
    reader: str,
    as_json: bool,
    **how: Any,  # noqa: ANN401 - those of `compress`
) -> None:
    """Print what becomes of answers, beside the baselines."""
    from tamis.prompting.compression import evaluate_compression
    from tamis.prompting.compression.examples import examples

    held = examples(str(data), rows, how["seed"])
    budget = how["target_tokens"]
    rate = 0.5 if how["rate"] is None and budget is None else how["rate"]
    told = evaluate_compression(
        held.prompts,
        held.answers,
        questions=held.questions,
        reader=reader,
        **how | {"rate": rate},
    )
    if as_json:
        print_json({"prompts": len(held.prompts), "reader": reader, "methods": told.rows()})
        return
    print_table(
        f"{len(held.prompts)} prompts with answers, judged by {reader}",
        ["prompt", "tokens", "rate", "answer nats a token", "answer kept", "gain of the method"],
        [_row(row, how["method"]) for row in told.rows()],
    )


def _row(row: dict[str, Any], method: str) -> list[str]:
    gain = f"{row['gain_over_it']:+.3f} ± {row['half_width']:.3f}"
    kept = row["answer_survival"]
    return [
        row["method"],
        f"{row['tokens']:,.0f}",
        f"{row['rate']:.2f}",
        f"{row['answer_logprob']:.3f}",
        "–" if kept != kept else f"{kept:.0%}",
        "" if row["method"] == method else gain,
    ]


def advise_on(
    prompt: Mapping[str, Any],
    server: str | None,
    answer_tokens: int,
    hourly: float,
    as_json: bool,
    **how: Any,  # noqa: ANN401 - those of `compress`
) -> None:
    """Measure, and print whether compressing this prompt pays."""
    from tamis.prompting.compression import advise, compress

    if server is None:
        raise SettingError("--advise needs the server that would answer: --server openai:ID?…")
    budget, rate, method = how.pop("target_tokens"), how.pop("rate"), how.pop("method")
    counted = {name: how[name] for name in ("lm", "tokenizer")}
    tokens = compress(**prompt, rate=1.0, method=method, **counted).original_tokens
    if budget is not None:
        rate = min(0.99, budget / max(1, tokens))
    advice = advise(
        prompt_tokens=max(1, tokens),
        answer_tokens=answer_tokens,
        compressor=method,
        server=server,
        rate=0.5 if rate is None else rate,
        hourly=hourly,
        **how,
    )
    if not as_json:
        out.print(str(advice), soft_wrap=True, markup=False)
        return
    names = ("seconds_saved", "money_saved", "break_even_tokens", "break_even_tokens_money",
             "break_even_rate", "pays")  # fmt: skip
    print_json(asdict(advice) | {name: getattr(advice, name) for name in names})
