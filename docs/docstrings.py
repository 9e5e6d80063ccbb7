"""How docstrings are read for the site: ``Example:`` as code, Sphinx's roles as plain code."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Rewrites what the renderer would show as it stands."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = re.sub(
                r":(?:class|func|meth|mod|attr):`~?([^`]+)`", r"`\1`", text
            )
