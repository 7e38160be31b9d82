# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The kernel that codes frames of a sound: each sample is predicted, coded by binary decisions, and learnt.

The encoder and the decoder run the same kernel (`code_frames`); a decoder writes the values.
"""

from __future__ import annotations

from lmzip.models.audio.binarise import binarise
from lmzip.models.audio.contexts import choose_contexts
from lmzip.models.audio.predictions import learn_sample, predict_sample
from lmzip.models.mixing.jit import kernel


@kernel
def code_frames(model, values, start, wasted_bits, coding):
    """Encode values (frames, channels) int64, or decode them where the coding has a reader.

    start: the first frame's number in the block. wasted_bits: (channels,) the lowest bits that are 0 in all values.
    Return whether the code is possible.
    """
    for row in range(len(values)):
        for c in range(values.shape[1]):
            predict_sample(model, c, row, start + row)
            spread = choose_contexts(model, c)
            value, possible = binarise(model, c, values[row, c], wasted_bits[c], spread, coding)
            if not possible:
                return False
            values[row, c] = value
            learn_sample(model, c, row, start + row, float(value))
    return True
