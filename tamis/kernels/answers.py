"""Counts that tell an answer from a bad one: how long, how varied, how near its prompt."""

import string

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["BYTES", "PIECES", "byte_counts", "piece_counts"]

PIECES = (
    "prompt",  # pieces of the prompt
    "answer",  # pieces of the answer, and of these:
    "distinct",  # different ones
    "shared",  # those that the prompt has too
    "pairs",  # different pairs of neighbours, as far as 16 bits tell
)
BYTES = (
    "bytes",
    "capitals",
    "digits",
    "marks",  # ASCII punctuation
    "lines",  # line ends
    "sentences",  # . ! or ? before a space or the end
    "ended",  # 1 if the last visible byte ends a sentence or a bracket, else 0
    "other",  # bytes beyond ASCII
)
_BYTES_OF_PAIRS = 1 << 16
_CAPITAL, _DIGIT, _MARK, _STOP, _CLOSING = 1, 2, 4, 8, 16
_KINDS = np.zeros(256, np.uint8)
for _letters, _kind in (
    (string.ascii_uppercase, _CAPITAL),
    (string.digits, _DIGIT),
    (string.punctuation, _MARK),
    (".!?", _STOP),
    ("\"')]}", _CLOSING),
):
    _KINDS[[*_letters.encode()]] |= _kind


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def piece_counts(
    prompt_starts: npt.NDArray[np.int64],
    prompt_pieces: npt.NDArray[np.int32],
    answer_starts: npt.NDArray[np.int64],
    answer_pieces: npt.NDArray[np.int32],
    n_vocabulary: int,
) -> npt.NDArray[np.int64]:
    """Count what `PIECES` names, of n answers to n prompts.

    Parameters
    ----------
    prompt_starts, answer_starts : int64 array of shape (n + 1,)
    prompt_pieces, answer_pieces : int32 array
        Text i is pieces[starts[i]:starts[i + 1]], each below `n_vocabulary`.
    n_vocabulary : int

    Returns
    -------
    int64 array of shape (n, 5)

    Examples
    --------
    >>> prompt, answer = np.array([4, 7], np.int32), np.array([7, 8, 7, 8], np.int32)
    >>> piece_counts(np.array([0, 2]), prompt, np.array([0, 4]), answer, 10).tolist()
    [[2, 4, 2, 2, 2]]
    """
    n = len(answer_starts) - 1
    out = np.zeros((n, 5), np.int64)
    in_prompt = np.full(n_vocabulary, -1)  # the last row whose prompt had the piece
    in_answer = np.full(n_vocabulary, -1)
    pair_seen = np.full(_BYTES_OF_PAIRS, -1)
    for row in range(n):
        for place in range(prompt_starts[row], prompt_starts[row + 1]):
            in_prompt[prompt_pieces[place]] = row
        first, last = answer_starts[row], answer_starts[row + 1]
        for place in range(first, last):
            piece = answer_pieces[place]
            out[row, 2] += in_answer[piece] != row
            out[row, 3] += in_prompt[piece] == row
            in_answer[piece] = row
            if place > first:
                pair = (np.uint64(answer_pieces[place - 1]) << np.uint64(32)) | np.uint64(piece)
                slot = (pair * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(48)
                out[row, 4] += pair_seen[slot] != row
                pair_seen[slot] = row
        out[row, 0] = prompt_starts[row + 1] - prompt_starts[row]
        out[row, 1] = last - first
    return out


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def byte_counts(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int64]:
    """Count what `BYTES` names, of each text data[offsets[i]:offsets[i + 1]].

    Returns
    -------
    int64 array of shape (n, 8)

    Examples
    --------
    >>> text = b"Yes. It is 3 pm!"
    >>> byte_counts(np.array([0, len(text)]), np.frombuffer(text, np.uint8)).tolist()
    [[16, 2, 1, 2, 0, 2, 1, 0]]
    """
    n = len(offsets) - 1
    out = np.zeros((n, 8), np.int64)
    for row in range(n):
        end = offsets[row + 1]
        for place in range(offsets[row], end):
            byte = data[place]
            kind = _KINDS[byte]
            stops = kind & _STOP != 0 and (place + 1 == end or data[place + 1] <= 32)
            out[row, 1] += kind & _CAPITAL != 0
            out[row, 2] += kind & _DIGIT != 0
            out[row, 3] += kind & _MARK != 0
            out[row, 4] += byte == 10
            out[row, 5] += stops
            if byte > 32:
                out[row, 6] = kind & (_STOP | _CLOSING) != 0
            out[row, 7] += byte > 127
        out[row, 0] = end - offsets[row]
    return out
