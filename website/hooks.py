"""What `mkdocs build` asks of us: pages made from the program, and links that hold on the site as in the repository."""

from __future__ import annotations

import posixpath
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
for place in (ROOT / "src", ROOT / "website"):
    sys.path.insert(0, str(place))

import api  # noqa: E402
import commands  # noqa: E402
import gallery  # noqa: E402
import notebooks  # noqa: E402

import promises  # noqa: E402
from chiasm.palette import stylesheet  # noqa: E402

# Pages of the repository's root, by their place on the site.
TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
# Scripts of ours, on the pages that use them.
SCRIPTS = {
    "catalogue.md": ("catalogue",),
    "try-a-verdict.md": ("verdict_rule", "made_trial", "try_a_verdict"),
}
LINK = re.compile(r"\[([^\]\[]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)
LISTED = re.compile(r"^(?!\s*(?:[-*>|#]|\d+\.)|\s*$)(.*)\n(?=- |\d+\. )", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and those of the repository's root."""
    pages = {name: (ROOT / file).read_text(encoding="utf-8") for file, name in TOP.items()}
    pages["reference/python.md"] = api.page(ROOT / "src")
    pages["reference/commands.md"] = commands.page()
    pages["reference/promises.md"] = promises.page(ROOT)
    scheme = '[data-md-color-scheme="{}"]'
    look = stylesheet(f":root, {scheme.format('default')}", scheme.format("slate"))
    files.append(File.generated(config, "stylesheets/palette.css", content=look))
    made = sorted(gallery.MADE.glob("*.html"))
    pages["gallery.md"] = gallery.page(own.stem for own in made)
    for own in made:
        files.append(File.generated(config, f"gallery/{own.name}", abs_src_path=str(own)))
    for name in notebooks.names():
        pages[f"notebooks/{name}.md"], pictures = notebooks.page(name)
        for file, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{file}", content=content))
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Add the scripts of a page below it."""
    tags = "".join(f'<script src="javascripts/{name}.js"></script>\n' for name in SCRIPTS.get(page.file.src_uri, ()))
    return html + tags


def on_post_page(output: str, **_: Any) -> str:
    """Name what the theme leaves without a name: who hears a page must know one part from another."""
    output = output.replace('role="dialog"', 'role="dialog" aria-label="Search"')
    output = output.replace("<table>", '<table tabindex="0">')  # what is wide scrolls by keys too
    output = output.replace("<pre><span></span><code>", '<pre><span></span><code tabindex="0">')
    return re.sub(r"<th( [^>]*)?></th>", r"<td\1></td>", output)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links where the site has what they lead to, and let a list begin without an empty line, as GitHub does."""
    own = page.file.src_uri
    home = {name: file for file, name in TOP.items()}.get(own)  # where the text lies in the repository
    here = home if home else posixpath.join("docs", own)
    parts = FENCE.split(markdown)
    for place in range(0, len(parts), 2):
        parts[place] = LISTED.sub(r"\1\n\n", LINK.sub(lambda found: moved(found, here, own), parts[place]))
    return "".join(parts)


def moved(found: re.Match[str], here: str, own: str) -> str:
    """A link between pages of the site; of another file of the repository its words and its place there."""
    words, target, anchor = found[1], found[2], found[3] or ""
    if re.match(r"[a-z]+:", target):
        return found[0]
    file = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
    name = TOP.get(file) or file.removeprefix("docs/")
    if name.endswith(".ipynb"):  # a notebook is a page of the site, with what it showed
        name = name.removesuffix(".ipynb") + ".md"
        words = notebooks.titled(file) if words.endswith(".ipynb") else words
    elif name == file and file not in TOP:
        return words if file in words else f"{words} (`{file}`)"
    if words.strip("`").endswith(".md"):
        words = titled(ROOT / ("docs/" + name if name not in TOP.values() else file))
    return f"[{words}]({posixpath.relpath(name, posixpath.dirname(own) or '.')}{anchor})"


@cache
def titled(file: Path) -> str:
    """The title of a page, in place of the name of its file."""
    return file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
