"""Profiles: the name of the arithmetic and, for float networks, where it was done. Imports nothing slow."""

from __future__ import annotations

import json
from typing import Any

FLOAT_PROFILE = "float-1"


def is_portable(profile: str) -> bool:
    """Whether what was written with a profile decodes on every machine."""
    return not profile.startswith("float-")


def differences(recorded: str, here: str) -> str:
    """Return in words what differs between two profiles."""
    there, now = (environment_of(profile) for profile in (recorded, here))
    keys = [key for key in sorted(there | now) if there.get(key) != now.get(key)]
    return "; ".join(f"{key} {there.get(key, 'unknown')} there, {now.get(key, 'unknown')} here" for key in keys)


def environment_of(profile: str) -> dict[str, Any]:
    """Return a profile's name and what it records."""
    name, _, text = profile.partition(" ")
    try:
        values = json.loads(text)
    except ValueError:
        values = {}
    return {"profile": name, **(values if isinstance(values, dict) else {})}
