"""Every kind that a model folder may hold, by importing all of the library.

`python tests/storable_kinds.py` writes `artifact/places.py` and the JSON Schemas anew.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

import chiasm
from chiasm import artifact


@cache
def every_kind() -> dict[str, type]:
    """Name to class, of the library alone; a module whose package is not installed fails the test that asks."""
    for module in pkgutil.walk_packages(chiasm.__path__, "chiasm."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    return {name: cls for name, cls in artifact.register.REGISTER.items() if cls.__module__.startswith("chiasm.")}


def places() -> str:
    """What `artifact/places.py` says: the module of each kind."""
    rows = "\n".join(f'    "{kind}": "{cls.__module__}",' for kind, cls in sorted(every_kind().items()))
    return HEAD + rows + "\n}\n"


HEAD = '''"""Where the class of each stored kind is: a model that holds it imports this module and no other.

`make kinds` writes this file anew; a test compares it with what the library registers.
"""

PLACES = {
'''
PLACES = Path(chiasm.__path__[0]) / "artifact" / "places.py"

if __name__ == "__main__":
    PLACES.write_text(places(), encoding="utf-8")
    import_module("json_schemas").write()
