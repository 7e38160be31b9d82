"""Small pictures and sounds as files."""

from __future__ import annotations

import io
import wave

import numpy as np
from PIL import Image


def pixels(height: int = 24, width: int = 40, channels: int = 3) -> np.ndarray:
    """Return slopes with some noise, uint8 (height, width, channels)."""
    y, x, c = np.mgrid[:height, :width, :channels]
    noise = np.random.default_rng(5).integers(0, 4, (height, width, channels))
    return ((3 * x + 2 * y + 20 * c + noise) % 256).astype(np.uint8)


def png(**options: object) -> bytes:
    """Return a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(buffer, "PNG", **options)
    return buffer.getvalue()


def ppm(height: int = 24) -> bytes:
    """Return a PPM file 40 pixels wide."""
    return b"P6\n# slopes\n40 %d\n255\n" % height + pixels(height).tobytes()


def wav(frames: int = 3000) -> bytes:
    """Return a WAV file: two channels of 16 bits."""
    t = np.arange(frames)
    left = 8000 * np.sin(t / 20) + 2000 * np.sin(t / 3) + np.random.default_rng(6).normal(0, 30, frames)
    samples = np.stack((left, 0.7 * left + 50), axis=1).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((2, 2, 44100, frames, "NONE", ""))
        file.writeframes(samples.tobytes())
    return buffer.getvalue()
