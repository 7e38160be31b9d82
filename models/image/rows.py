# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""The kernel that codes rows of a picture: each sample is predicted, coded by binary decisions, and learnt.

The encoder and the decoder run the same kernel (`code_row`); a decoder writes the samples.
"""

from __future__ import annotations

from lmzip.models.image.binarise import binarise, binarise_directly
from lmzip.models.image.contexts import set_direct_contexts, set_natural_contexts
from lmzip.models.image.predictions import close_block, learn_sample, place_experts, predict_sample
from lmzip.models.image.repeats import code_repeat, learn_repeat
from lmzip.models.image.settings import DIRECT
from lmzip.models.image.state import PAD, PREDICTIONS, REFINED, ROWS
from lmzip.models.mixing.jit import i64, kernel, once

RATE_LAST, RATE_FIRST, RATE_FALL = 70, 300, 8192  # of the mixer: it falls from the first to the last with the pixels


@kernel
def code_row(model, image, y, first, last):
    """Code pixels first .. last - 1 of a row of an image (height, width, channels), which a decoder writes.

    Return 0, or -1 where the code is impossible.
    """
    _, width, channels = image.shape
    settings = model.settings
    if first == 0:
        begin_row(model.history, y, width, channels)
    for x in range(first, last):
        done = y * width + x
        model.sample.rate = RATE_LAST + (RATE_FIRST - RATE_LAST) * RATE_FALL // (RATE_FALL + done)
        phase = ((y & 1) * 2 + (x & 1)) if settings.phases == 4 else 0
        if y == 0:
            extend_up(model.history, x, channels)
        repeated = i64(0)
        if settings.mode == DIRECT:
            repeated = code_repeat(model, image, y, x)
            if repeated < 0:
                return -1
        for c in range(channels):
            value = i64(image[y, x, c])
            if repeated == 0:
                level = predict_sample(model, y, x, c, phase)
                value = _code_sample(model, y, x, c, level, value)
                if value < 0:
                    return -1
                image[y, x, c] = value
                learn_sample(model, y, x, c, phase, value)
            else:
                _repeat_sample(model.history, y, x, c, value)
        if settings.mode == DIRECT:
            learn_repeat(model, image, y, x)
        if (x + 1) % settings.block_width == 0 or x + 1 == width:
            close_block(model, x // settings.block_width + 1)
    if last == width:
        end_row(model.history, y, width, channels)
    return 0


@once
def _code_sample(model, y, x, c, level, value):
    """Code a sample that is predicted: return its value, or -1 where the code is impossible."""
    top = model.settings.top
    place_experts(model, y, x, c)
    centre = min(max((i64(model.sample.predictions[REFINED]) + 8) >> 4, 0), top)
    if model.settings.mode == DIRECT:
        set_direct_contexts(model, y, x, c, level, centre)
        return binarise_directly(model.decider, value, top)
    set_natural_contexts(model, y, x, c, level, centre)
    scale = i64(model.statistics.scales[c, REFINED, level])
    k = i64(0)
    while k < 12 and scale >= 9000 << k:
        k += 1
    return binarise(model.decider, value, centre, k, scale < 6000, top)


@once
def _repeat_sample(history, y, x, c, value):
    """Remember a sample that a repeat gave."""
    history.samples[y % ROWS, c, PAD + x] = value
    for k in range(PREDICTIONS):
        history.errors[y & 1, c, k, PAD + x] = 0
    history.residuals[y & 1, c, PAD + x] = 0


@once
def begin_row(history, y, width, channels):
    """Fill what lies beside a row."""
    here = history.samples[y % ROWS]
    for c in range(channels):
        for x in range(PAD):
            here[c, x] = history.samples[(y - 1) % ROWS, c, PAD] if y else 0
            here[c, PAD + width + x] = 0
    for x in range(PAD):
        history.colours[y % ROWS, x] = history.colours[(y - 1) % ROWS, PAD]


@once
def end_row(history, y, width, channels):
    """Fill what lies behind a row."""
    here, colours = history.samples[y % ROWS], history.colours[y % ROWS]
    for x in range(PAD):
        for c in range(channels):
            here[c, PAD + width + x] = here[c, PAD + width - 1]
        colours[PAD + width + x] = colours[PAD + width - 1]


@once
def extend_up(history, x, channels):
    """Let the rows above the first one be like the pixel on the left."""
    for up in range(1, ROWS):
        for right in range(PAD):
            for c in range(channels):
                history.samples[-up % ROWS, c, PAD + x + right] = history.samples[0, c, PAD + x - 1]
            history.colours[-up % ROWS, PAD + x + right] = history.colours[0, PAD + x - 1]
