from pathlib import Path

from tamis.data import parts


def test_a_merge_leaves_large_parts_alone_and_keeps_to_its_memory(monkeypatch):
    sizes = {Path(f"part-{n}"): size for n, size in enumerate([3, 4, 90, 2, 5, 6, 90, 1])}
    monkeypatch.setattr(parts, "SMALL_BYTES", 10)
    monkeypatch.setattr(parts, "MERGED_BYTES", 12)
    groups = [[path.name for path in group] for group in parts._neighbours(sizes)]
    assert groups == [["part-0", "part-1"], ["part-3", "part-4"]]
