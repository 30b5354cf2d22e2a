"""Arrays in, arrays out: nothing here knows of datasets, models or files.

Compiled kernels are cached beside their sources. Numba looks only at the file that a kernel
stands in, but a kernel holds the code of the others that it calls: so when any source here
changes, what was compiled before is thrown away.
"""

import hashlib
from contextlib import suppress
from pathlib import Path


def _throw_away_what_is_stale() -> None:
    folder = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    digest = hashlib.blake2b(sources, digest_size=16).hexdigest()
    cache = folder / "__pycache__"
    stamp = cache / "sources.digest"
    with suppress(OSError):  # a folder that cannot be written holds no cache either
        if not stamp.exists() or stamp.read_text() != digest:
            for compiled in cache.glob("*.nb[ic]"):
                compiled.unlink(missing_ok=True)
            cache.mkdir(exist_ok=True)
            stamp.write_text(digest)


_throw_away_what_is_stale()
