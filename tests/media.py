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


def netpbm(picture: np.ndarray, largest: int = 255) -> bytes:
    """Return a PGM or PPM file of pixels (height, width, 1 or 3) of 0 .. largest."""
    height, width, channels = picture.shape
    head = b"P%d %d %d %d\n" % (5 if channels == 1 else 6, width, height, largest)
    return head + picture.astype(">u2" if largest > 255 else np.uint8).tobytes()


def planes(height: int = 48, width: int = 48) -> np.ndarray:
    """Return luma and chromas of a smooth picture with a little noise, uint8 (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(3).integers(0, 4, (height, width, 3))
    return (noise + np.stack((100 + x, 130 + y // 2, 130 + x // 3), axis=2)).astype(np.uint8)


def sound(frames: int, channels: int, depth: int) -> np.ndarray:
    """Return samples (frames, channels) int32 that swing and rustle, made of integers alone."""
    noise = np.random.default_rng(7).integers(-(1 << depth - 6), 1 << depth - 6, (frames, channels))
    t = np.arange(frames)[:, None] * (3 + np.arange(channels)) % 400
    triangle = np.abs(t - 200) - 100
    return ((triangle << depth - 8 >> 1) + noise).astype(np.int32)


def wave_file(samples: np.ndarray, depth: int) -> bytes:
    """Return a WAV file of samples (frames, channels) of 8, 16, 24 or 32 bits."""
    size = depth // 8
    stored = samples + (128 if depth == 8 else 0)
    data = stored.astype("<i4")[:, :, None].view(np.uint8)[..., :size].tobytes()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((samples.shape[1], size, 44100, len(samples), "NONE", ""))
        file.writeframes(data)
    return buffer.getvalue()
