"""The page of the Python interface: every public name with its signature and its docstring, read from the source.

Nothing is imported: the source is parsed, so that the page needs no package of ours and no torch.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

Definition = ast.FunctionDef | ast.ClassDef
SECTIONS = ("Args", "Returns", "Raises", "Yields", "Example", "Examples")


def page(source: Path) -> str:
    """Markdown of all names that `import chiasm` hands on, functions first, then classes."""
    found = [(name, *place) for name, module in sorted(public(source)) if (place := defined(source, module, name))]
    parts = ["# Python", "Every public name of `chiasm`, from its docstring. All are imported at first use."]
    for title, kind in (("Functions", ast.FunctionDef), ("Classes", ast.ClassDef)):
        parts.append(f"## {title}")
        for name, file, node in found:
            if isinstance(node, kind):
                parts.append(described(name, node, file.relative_to(source).as_posix()))
    return "\n\n".join(parts) + "\n"


def public(source: Path) -> Iterator[tuple[str, str]]:
    """Name and module of each entry of `_PUBLIC` in `chiasm/__init__.py`."""
    for node in parsed(source / "chiasm" / "__init__.py").body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id == "_PUBLIC":
            yield from ast.literal_eval(node.value).items()  # type: ignore[attr-defined]


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def defined(source: Path, module: str, name: str) -> tuple[Path, Definition] | None:
    """File and definition of a name, followed through imports; None for a value that is neither function nor class."""
    place = source.joinpath(*module.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not file.exists():
        return None
    for node in ast.walk(parsed(file)):
        if isinstance(node, Definition) and node.name == name:
            return file, node
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for own in node.names:
                if (own.asname or own.name) == name and node.module.startswith("chiasm"):
                    return defined(source, node.module, own.name)
    return None


def described(name: str, node: Definition, file: str) -> str:
    """A heading, the signature, and the docstring with its sections as lists."""
    text = ast.get_docstring(node) or ""
    parts = [f"### {name}", f"```python\n{signature(name, node)}\n```", prose(text)]
    if isinstance(node, ast.ClassDef):
        for own in node.body:
            if isinstance(own, ast.FunctionDef) and not own.name.startswith("_"):
                said = " ".join((ast.get_docstring(own) or "").split("\n\n")[0].split())
                if said:
                    parts.append(f"- `{signature(own.name, own)}`: {escaped(said)}")
    return "\n\n".join([*parts, f"<small>In `{file}`.</small>"])


def signature(name: str, node: Definition) -> str:
    """The call of a function, or of a class by its fields or its `__init__`."""
    if isinstance(node, ast.ClassDef):
        start = next((own for own in node.body if isinstance(own, ast.FunctionDef) and own.name == "__init__"), None)
        if start is not None:
            return signature(name, start).partition(" -> ")[0]
        fields = [ast.unparse(own) for own in node.body if isinstance(own, ast.AnnAssign)]
        return wrapped(
            f"class {name}", [own for own in fields if not own.startswith("_") and "ClassVar" not in own], ""
        )
    drop = {"self", "cls"}
    words = ast.unparse(node.args)
    arguments = [own for own in split(words) if own.partition(":")[0].strip() not in drop]
    return wrapped(name, arguments, f" -> {ast.unparse(node.returns)}" if node.returns else "")


def split(words: str) -> list[str]:
    """Arguments apart, where commas within brackets and strings do not count."""
    found, depth, quoted, start = [], 0, "", 0
    for place, letter in enumerate(words):
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "'\"":
            quoted = letter
        elif letter == "," and not depth:
            found.append(words[start:place].strip())
            start = place + 1
        depth += (letter in "([{") - (letter in ")]}") if not quoted else 0
    return [*found, words[start:].strip()] if words.strip() else []


def wrapped(name: str, arguments: list[str], end: str) -> str:
    line = f"{name}({', '.join(arguments)}){end}"
    return line if len(line) <= 96 else f"{name}(\n    " + ",\n    ".join(arguments) + f",\n){end}"


def prose(text: str) -> str:
    """A docstring as Markdown: an indented formula stays a block, an argument becomes a point of a list."""
    parts = []
    for block in text.split("\n\n"):
        head, _, rest = block.partition("\n")
        if head.rstrip(":") in SECTIONS and head.endswith(":") and rest:
            parts.append(f"**{head}**")
            parts.append(points(textwrap.dedent(rest)))
        elif block.startswith("    "):
            parts.append(f"```text\n{textwrap.dedent(block)}\n```")
        else:
            parts.append(escaped(block))
    return "\n\n".join(parts)


def points(text: str) -> str:
    """Entries `name: what it is` with their continued lines, as a list; a paragraph where there is no name."""
    entries: list[str] = []
    for line in text.splitlines():
        if line.startswith(" ") and entries:
            entries[-1] += " " + line.strip()
        else:
            entries.append(line.strip())
    named = [re.match(r"([\w*, .]+): (.+)", own) for own in entries]
    lines = [
        f"- `{own[1]}`: {escaped(own[2])}" if own else f"- {escaped(entry)}"
        for own, entry in zip(named, entries, strict=True)
    ]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Text in which nothing outside of backticks is taken for HTML, a link or emphasis."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(own if own.startswith("`") else re.sub(r"([<*_\[\]])", r"\\\1", own) for own in pieces)
