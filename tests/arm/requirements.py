"""Print what lmzip requires where there is no constriction, for pip, which would read the markers of this machine."""

from __future__ import annotations

import configparser
from pathlib import Path

settings = configparser.ConfigParser()
settings.read(Path(__file__).parent.parent.parent / "setup.cfg")
for line in settings["options"]["install_requires"].splitlines():
    if line and not line.startswith(("#", "constriction")):
        print(line)
