"""The card of a data set on the hub: what is in it, how it was made, what it may be used for.

A card that is there is not overwritten. Between two comments stands what tamis writes; the
rest of the page stays as it is. Of the metadata, configurations, features, size and tags are
kept true; the languages and the licence that a person wrote stay, and so does every other key.
"""

import html
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
import yaml
from datasets import Dataset

from tamis.data import formats
from tamis.pipelines.outgoing import UNKNOWN
from tamis.pipelines.runs import Run

__all__ = ["card"]

_BEGIN, _END = "<!-- tamis:begin -->", "<!-- tamis:end -->"
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")
_LICENCES = frozenset(
    f"{family}-{version}" if version else family
    for family, versions in {
        "apache": "2.0", "mit": "", "isc": "", "unlicense": "", "wtfpl": "", "openrail": "",
        "bsd": "2-clause 3-clause", "cc0": "1.0", "cc-by": "2.0 2.5 3.0 4.0",
        "cc-by-sa": "3.0 4.0", "cc-by-nc": "2.0 3.0 4.0", "cc-by-nd": "4.0",
        "cc-by-nc-nd": "3.0 4.0", "cc-by-nc-sa": "2.0 3.0 4.0", "cdla-sharing": "1.0",
        "cdla-permissive": "1.0 2.0", "odc-by": "", "odbl": "", "pddl": "", "gfdl": "",
        "gpl": "2.0 3.0", "lgpl": "2.1 3.0", "agpl": "3.0", "mpl": "2.0",
    }.items()
    for version in versions.split(" ")
)  # fmt: skip
"""Those that the hub knows by name; it calls the others 'other'."""


class _Plain(yaml.SafeDumper):
    """Write a list that is there twice twice: a person is to read it."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def card(
    run: Run,
    splits: Mapping[str, Dataset],
    *,
    left_out: int = 0,
    masked: bool = False,
    languages: Collection[str] = (),
    earlier: str | None = None,
) -> str:
    """Return the card of a run's curated set: YAML between lines of three dashes, then Markdown.

    Parameters
    ----------
    run : Run
    splits : mapping of str to Dataset
        The rows that go out, with tamis_licence and, where known, tamis_source beside them.
    left_out : int
        Rows that their licence held back.
    masked : bool
        Whether personal data was masked.
    languages : collection of str
        ISO 639-1 codes.
    earlier : str, optional
        The card that is there.
    """
    metadata, body = _parted(earlier or "")
    before: dict[str, Any] = metadata.pop("tamis", {})
    ours = _metadata(run, splits, languages)
    kept: dict[
        str, Any
    ] = {  # what a person wrote stays; what tamis wrote last time is written anew
        name: metadata[name]
        for name in ("license", "language", "pretty_name")
        if name in metadata and not (name in before and before[name] == metadata[name])
    }
    tags = [*map(str, _as_list(metadata.get("tags"))), *ours["tags"]]
    written = {name: ours[name] for name in ("license", "language", "pretty_name") if name in ours}
    merged: dict[str, Any] = {
        **metadata,
        **ours,
        **kept,
        "tags": list(dict.fromkeys(tags)),
        "tamis": written,
    }
    if "license" not in ours and "license" not in kept:
        merged.pop("license", None)
    text = yaml.dump(merged, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000)
    section = f"{_BEGIN}\n{_section(run, splits, left_out, masked)}\n{_END}"
    return f"---\n{text}---\n\n{_placed(section, body, run)}\n"


def _parted(text: str) -> tuple[dict[str, Any], str]:
    """Return metadata and body of a card; metadata that is no YAML counts as body."""
    match = re.match(r"\s*---\s*\n(.*?)\n---[ \t]*(?:\n|$)", text, re.DOTALL)
    if match:
        try:
            metadata = yaml.safe_load(match[1]) or {}
        except yaml.YAMLError:
            metadata = None
        if isinstance(metadata, dict):
            return metadata, text[match.end() :].strip()
    return {}, text.strip()


def _placed(section: str, body: str, run: Run) -> str:
    """Put the section in the place of the one that is there, or at the end."""
    start, end = body.find(_BEGIN), body.find(_END)
    if 0 <= start < end:
        return f"{body[:start]}{section}{body[end + len(_END) :]}"
    return f"{body}\n\n{section}" if body else f"# {_escaped(run.record.recipe)}\n\n{section}"


def _metadata(
    run: Run, splits: Mapping[str, Dataset], languages: Collection[str]
) -> dict[str, Any]:
    rows = sum(map(len, splits.values()))
    columns = next(iter(splits.values())).features._to_yaml_list()
    licences = sorted(_counted(splits, "tamis_licence"))
    named = sorted(
        {name if name in _LICENCES else "other" for name in licences if name != "unknown"}
    )
    return {
        **({"license": named[0] if len(named) == 1 else named} if named else {}),
        **({"language": sorted(languages)} if languages else {}),
        "pretty_name": run.record.recipe,
        "size_categories": [_size(rows)],
        "tags": ["tamis", "data-selection", *dict.fromkeys(_methods(run))],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"data/{name}-*"} for name in splits],
            }
        ],
        "dataset_info": {
            "features": columns,
            "splits": [
                {"name": name, "num_examples": len(split)} for name, split in splits.items()
            ],
        },
    }


def _section(run: Run, splits: Mapping[str, Dataset], left_out: int, masked: bool) -> str:
    parts = [
        _what(run, splits),
        "## How it was made\n\n" + _how(run),
        "## Sources and licences\n\n" + _sources(splits, left_out),
        "## Figures\n\n" + _figures(splits),
        "## Known limits\n\n" + "\n".join(f"- {limit}" for limit in _limits(run, splits, masked)),
    ]
    return "\n\n".join(parts)


def _what(run: Run, splits: Mapping[str, Dataset]) -> str:
    kept = sum(map(len, splits.values()))
    pool = run.outcomes[0].rows
    return (
        f"{kept:,} rows chosen from {pool:,} by [tamis](https://pypi.org/project/tamis), best "
        "first: `tamis_rank` is a row's place, `tamis_score` what the last method gave it, "
        "`tamis_id` the digest of its content."
    )


def _how(run: Run) -> str:
    record = run.record
    steps = _table(
        ["step", "method", "rows", "kept"],
        [[o.number, f"`{_code(o.settings)}`", f"{o.rows:,}", f"{o.kept:,}"] for o in run.outcomes],
    )
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    fence = "`" * (3 + max(map(len, re.findall("`+", record.settings)), default=0))
    recipe = f"{fence}yaml\n{record.settings.strip()}\n{fence}"
    return (
        f"Run `{_code(run.id)}`, seed {record.seed}, by {_escaped(versions)}.\n\n{steps}\n\n"
        f"The recipe:\n\n{recipe}"
    )


def _sources(splits: Mapping[str, Dataset], left_out: int) -> str:
    """Say how many rows each source gave, and under which licence."""
    counted: Counter[tuple[str, str]] = Counter()
    for split in splits.values():
        licences = split["tamis_licence"][:]
        there = "tamis_source" in split.column_names
        sources = split["tamis_source"][:] if there else [""] * len(licences)
        counted.update(zip((source or "" for source in sources), licences, strict=True))
    table = _table(
        ["source", "licence", "rows"],
        [
            [_escaped(source) or "not said", _escaped(licence), f"{count:,}"]
            for (source, licence), count in sorted(counted.items(), key=lambda item: -item[1])
        ],
    )
    held = f"\n\n{left_out:,} rows stayed behind: their licence is none of those asked for."
    return table + (held if left_out else "")


def _figures(splits: Mapping[str, Dataset]) -> str:
    rows = []
    for name, split in splits.items():
        said = formats.fields(split.with_format("arrow")[:])
        lengths = [np.asarray(pc.utf8_length(column)) for column in (said.prompt, said.response)]
        texts = np.asarray(pc.utf8_length(said.text))
        medians = [f"{np.median(column):,.0f}" for column in (*lengths, texts)]
        rows.append([name, f"{len(split):,}", *medians])
    columns = ["split", "rows", "characters of a prompt", "of a response", "of all (medians)"]
    return _table(columns, rows)


def _limits(run: Run, splits: Mapping[str, Dataset], masked: bool) -> list[str]:
    methods = set(_methods(run))
    unknown = _counted(splits, "tamis_licence")[UNKNOWN]
    limits = []
    if unknown:
        limits.append(f"The licence of {unknown:,} rows is not known.")
    if masked:
        limits.append("E-mail, phone and IP addresses, card numbers and keys were masked by rules.")
    elif "privacy" in methods:
        limits.append("Rows with e-mail, phone or IP addresses, card numbers or keys were dropped.")
    else:
        limits.append("Nobody looked for personal data.")
    if masked or "privacy" in methods:
        limits.append("Names of people and places were not looked for.")
    if "decontaminate" not in methods:
        limits.append("Overlap with benchmarks was not looked for.")
    limits.append("What is written in the rows was not checked for truth or for harm.")
    return limits


def _methods(run: Run) -> list[str]:
    return [outcome.method for outcome in run.outcomes]


def _counted(splits: Mapping[str, Dataset], column: str) -> Counter[str]:
    return Counter(value for split in splits.values() for value in split[column][:])


def _size(rows: int) -> str:
    """Return the hub's name for a size.

    >>> _size(999), _size(1000), _size(123_456)
    ('n<1K', '1K<n<10K', '100K<n<1M')
    """
    return _SIZES[min(max(len(str(rows)) - 3, 0), len(_SIZES) - 1)]


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines: list[Sequence[object]] = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def _escaped(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    >>> _escaped("a|b <script>*x*")
    'a\\|b &lt;script&gt;\\*x\\*'
    """
    line = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]|#!~])", r"\\\1", line)


def _code(text: str) -> str:
    """Return text for between two backticks, in a cell of a table."""
    return " ".join(text.split()).replace("`", "'").replace("|", "\\|")


def _as_list(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
