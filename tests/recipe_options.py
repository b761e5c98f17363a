"""The options of every recipe, from its class.

`python tests/recipe_options.py` writes `recipes/options.py` anew.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import chiasm
from chiasm.recipes.catalogue import RECIPES, ROWS
from chiasm.recipes.listing import options_of

HEAD = '''"""The options of the recipes with their defaults, so that a list of them imports no recipe.

`make kinds` writes this file anew; a test compares it with the recipes' classes.
"""

# fmt: off
OPTIONS = {
'''
OPTIONS = Path(chiasm.__path__[0]) / "recipes" / "options.py"


def options() -> dict[str, str]:
    """Recipe name to `option=default, ...`."""
    return {name: options_of(RECIPES[name], row.leads) for name, row in ROWS.items()}


def table() -> str:
    """What `recipes/options.py` says."""
    rows = []
    for name, text in options().items():
        lines = textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False, drop_whitespace=False) or [""]
        if len(lines) == 1:
            rows.append(f'    "{name}": "{text}",')
        else:
            rows += [f'    "{name}": (', *(f'        "{line}"' for line in lines), "    ),"]
    return HEAD + "\n".join(rows) + "\n}\n"


if __name__ == "__main__":
    OPTIONS.write_text(table(), encoding="utf-8")
