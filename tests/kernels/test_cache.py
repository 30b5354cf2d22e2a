import shutil
import subprocess
import sys
from pathlib import Path

import tamis.kernels

CALL = "import kernels; from kernels.caller import twice; print(twice(3))"


def test_a_kernel_forgets_what_was_compiled_when_one_it_calls_changes(tmp_path):
    # numba alone prints 6 both times: the file of `twice` is the same.
    room = tmp_path / "kernels"
    room.mkdir()
    shutil.copy(Path(tamis.kernels.__file__), room / "__init__.py")
    jit = "from numba import njit\n"
    (room / "caller.py").write_text(
        f"{jit}from kernels.called import times\n\n"
        "@njit(cache=True)\ndef twice(x):\n    return times(x)\n"
    )
    answers = []
    for factor in (2, 20):
        (room / "called.py").write_text(f"{jit}\n@njit\ndef times(x):\n    return {factor} * x\n")
        done = subprocess.run(
            [sys.executable, "-c", CALL], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        answers.append(int(done.stdout))
    assert answers == [6, 60]
