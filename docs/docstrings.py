"""How docstrings are read for the site: ``Example:`` as code, Sphinx's roles as plain code."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Rewrites what the renderer would show as it stands."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        waiting: list[griffe.Object] = [pkg]
        while waiting:
            thing = waiting.pop()
            waiting += [m for m in thing.members.values() if not m.is_alias]
            if thing.docstring is not None:
                text = re.sub(r"^Example:$", "Examples:", thing.docstring.value, flags=re.MULTILINE)
                role = r":(?:class|func|meth|mod|attr|data):`[~.]*([^`]+)`"
                thing.docstring.value = re.sub(role, r"`\1`", text)
