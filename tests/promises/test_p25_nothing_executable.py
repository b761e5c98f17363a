"""P25: nothing in src/ reads or runs code from data, whatever name it goes by. A test of the syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

MODULES = {
    "pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle", "pickletools",
    "runpy", "code", "codeop", "pty",
}  # fmt: skip
BUILTINS = {"eval", "exec", "compile", "__import__", "breakpoint"}
# (module or None for any, attribute): forbidden to call, to import and to hold under another name
ATTRIBUTES = {
    ("torch", "load"), ("torch", "save"), ("torch.jit", "load"), ("torch.serialization", "load"),
    ("torch.hub", "load"), ("torch.package", "PackageImporter"),
    ("yaml", "load"), ("yaml", "load_all"), ("yaml", "unsafe_load"), ("yaml", "full_load"),
    ("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput"),
    ("shutil", "unpack_archive"), ("builtins", "eval"), ("builtins", "exec"), ("builtins", "compile"),
    ("builtins", "__import__"),
    (None, "read_pickle"), (None, "to_pickle"), (None, "extractall"), (None, "__reduce_ex__"),
}  # fmt: skip
FLAGS = {"shell", "trust_remote_code", "allow_pickle"}  # forbidden with anything but a plain False
IMPORTERS = {"import_module", "__import__", "find_spec"}
WORDS = MODULES | BUILTINS | FLAGS | IMPORTERS | {attribute for _, attribute in ATTRIBUTES} | {"getattr"}
SUSPECT = re.compile(rf"""\b(?:{"|".join(sorted(WORDS))})\b|except\s*:|["']\s*\)?\s*\+""")
"""What stands in every file with something forbidden: one of the words, or a sum of texts that may make one."""


def findings(code: str) -> list[str]:
    """What is forbidden in a piece of Python, one line each."""
    if not SUSPECT.search(code):
        return []
    nodes = [*ast.walk(ast.parse(code))]
    return sorted({f"line {line}: {what}" for line, what in _forbidden_in(nodes, _names(nodes))})


def _names(nodes: list[ast.AST]) -> dict[str, str]:
    """What each name stands for: `import torch as t` and `t = torch` both make `t` mean `torch`."""
    names = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            meant = _dotted(node.value, names)
            if meant:
                names.setdefault(node.targets[0].id, meant)
    return names


def _dotted(node: ast.AST, names: dict[str, str]) -> str:
    """`torch.jit.load` for an attribute, whatever torch is called here; also of `getattr(torch, "load")`."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        inside = _dotted(node.value, names)
        return f"{inside}.{node.attr}" if inside else f"?.{node.attr}"
    if isinstance(node, ast.Call):
        called = _dotted(node.func, names)
        if called == "getattr" and len(node.args) >= 2 and (attribute := _text(node.args[1])):
            return f"{_dotted(node.args[0], names) or '?'}.{attribute}"
        if called.rpartition(".")[2] in IMPORTERS and node.args and (module := _text(node.args[0])):
            return module
    return ""


def _text(node: ast.AST) -> str:
    """The text of a constant, also of a sum of constants."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return ""


def _forbidden_in(nodes: list[ast.AST], names: dict[str, str]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from ((line, alias.name) for alias in node.names if alias.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if node.module.partition(".")[0] in MODULES or _forbidden(f"{node.module}.{alias.name}"):
                    yield line, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Name | ast.Attribute | ast.Call):
            meant = _dotted(node, names)
            imported = isinstance(node, ast.Call) and meant.partition(".")[0] in MODULES
            if meant and (_forbidden(meant) or imported):
                yield line, meant
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in FLAGS and not off:
                    yield line, f"{keyword.arg}="
                if keyword.arg is None and isinstance(keyword.value, ast.Dict):
                    keys = {_text(key) for key in keyword.value.keys if key is not None}
                    yield from ((line, f"{flag}=") for flag in sorted(FLAGS & keys))
            if _dotted(node.func, names) == "yaml.load" or _dotted(node.func, names).endswith(".__import__"):
                yield line, _dotted(node.func, names)
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield line, "bare except"
        if isinstance(node, ast.Subscript) and _text(node.slice) in BUILTINS:
            yield line, f"['{_text(node.slice)}']"


def _forbidden(meant: str) -> bool:
    module, _, attribute = meant.rpartition(".")
    return (module, attribute) in ATTRIBUTES or (None, attribute) in ATTRIBUTES or (not module and meant in BUILTINS)


BAD = [
    "import pickle",
    "import pickle as p",
    "import os, pickle as p",
    "from pickle import loads as l",
    "from pickle import *",
    "def f():\n    import dill\n    return dill",
    "import joblib.numpy_pickle",
    "import cloudpickle, marshal",
    "import shelve",
    "import torch\ntorch.load('x')",
    "import torch as t\nt.load('x', weights_only=True)",
    "import torch\nread = torch.load",
    "import torch\nother = torch\nother.save({}, 'x')",
    "from torch import load",
    "from torch import save as keep",
    "from torch import jit\njit.load('x')",
    "import torch\ngetattr(torch, 'load')('x')",
    "import torch\ngetattr(torch, 'lo' + 'ad')('x')",
    "__import__('pickle')",
    "import importlib\nimportlib.import_module('pickle')",
    "from importlib import import_module as take\ntake('dill')",
    "import importlib\nm = importlib.import_module('torch')\nm.load('x')",
    "e = eval",
    "eval('1')",
    "[run for run in (exec,)]",
    "exec('1')",
    "compile('1', 'x', 'eval')",
    "import builtins\nbuiltins.eval('1')",
    "from builtins import exec as run",
    "import builtins\ngetattr(builtins, 'eval')('1')",
    "__builtins__['eval']('1')",
    "globals()['exec']('1')",
    "import yaml\nyaml.load(text)",
    "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
    "from yaml import unsafe_load",
    "import numpy as np\nnp.load('x', allow_pickle=True)",
    "import numpy as np\nflag = True\nnp.load('x', allow_pickle=flag)",
    "import numpy as np\nnp.load('x', **{'allow_pickle': True})",
    "import pandas as pd\npd.read_pickle('x')",
    "frame.to_pickle('x')",
    "from pandas import read_pickle",
    "archive.extractall('there')",
    "import shutil\nshutil.unpack_archive('x')",
    "import subprocess\nsubprocess.run('ls', shell=True)",
    "import os\nos.system('ls')",
    "AutoModel.from_pretrained('x', trust_remote_code=True)",
    "try:\n    work()\nexcept:\n    pass",
]
GOOD = [
    "model.eval()",
    "network.eval().cpu()",
    "self.load('x')",
    "from chiasm.artifact import load, save\nload('x')\nsave('x', 1)",
    "import json\njson.loads(text)",
    "import tomllib\ntomllib.load(file)",
    "import numpy as np\nnp.load('x')",
    "import numpy as np\nnp.load('x', allow_pickle=False)",
    "import re\nre.compile('x')",
    "import torch\ntorch.compile(model)",
    "from importlib import import_module\nimport_module('chiasm.api')",
    "import subprocess\nsubprocess.run(['ls'], shell=False)",
    "import yaml\nyaml.safe_load(text)",
    "frame.eval_set = 1",
    "try:\n    work()\nexcept ValueError:\n    pass",
    "'''pickle, eval and torch.load are words here'''",
    "state = head.load_state_dict(values)",
    "getattr(cohort, 'group')",
    "point.load()",
    "code = outcome.value\ncode.astype(int)",
]


def test_nothing_executable() -> None:
    found = {file.relative_to(SOURCE).as_posix(): findings(file.read_text("utf-8")) for file in SOURCE.rglob("*.py")}
    assert "chiasm/artifact/files.py" in found
    assert {place: lines for place, lines in found.items() if lines} == {}


@pytest.mark.parametrize("code", BAD)
def test_what_is_forbidden_is_found(code: str) -> None:
    assert findings(code)


@pytest.mark.parametrize("code", GOOD)
def test_what_is_allowed_passes(code: str) -> None:
    assert findings(code) == []
