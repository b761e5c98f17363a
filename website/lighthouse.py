"""Ask Lighthouse about every kind of page of the built site, on a phone and on a desk: `make lighthouse`.

Lighthouse drives the browser of this machine against the folder `site/`, served on loopback; nothing leaves it. What is
printed is a row a page: accessibility, best practices, search, performance (of 100), and every audit that fails.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / ".services" / "node_modules" / ".bin" / "lighthouse"
CHROMIUM = "/usr/bin/chromium"
CATEGORIES = {
    "accessibility": "accessibility", "best-practices": "best practices", "seo": "search", "performance": "performance"
}  # fmt: skip
FORMS = {"mobile": (), "desktop": ("--preset=desktop",)}
KINDS = (
    "index.html", "first_steps.html", "guides/index.html", "guides/worth-it.html", "try-a-verdict.html", "gallery.html",
    "notebooks/merge_hospitals.html", "catalogue.html", "benchmarks.html", "comparison.html", "glossary.html",
    "reference/python.html", "reference/commands.html", "reference/promises.html", "404.html",
)  # fmt: skip


class Compressed(http.server.SimpleHTTPRequestHandler):
    """Serves a folder as a host of pages does: texts compressed, and to be kept for a while."""

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=604800")
        super().end_headers()

    def do_GET(self) -> None:
        import gzip

        file = Path(self.translate_path(self.path))
        if file.suffix not in (".html", ".css", ".js", ".svg", ".json", ".xml") or not file.is_file():
            super().do_GET()
            return
        body = gzip.compress(file.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(file)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The site on a port of this machine."""
    handler = functools.partial(Compressed, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def asked(address: str, form: str) -> dict[str, Any]:
    """What Lighthouse says of a page: scores by category, and the audits that count and fail."""
    done = subprocess.run(
        [
            str(PROGRAM), address, "--quiet", "--output=json", "--output-path=stdout", "--no-enable-error-reporting",
            f"--only-categories={','.join(CATEGORIES)}", "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
            *FORMS[form],
        ],
        env={**os.environ, "CHROME_PATH": CHROMIUM}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{address}: {done.stderr[-2000:]}")
    report = json.loads(done.stdout)
    audits, failed = report["audits"], []
    for name, category in report["categories"].items():
        for own in category["auditRefs"] if name != "performance" else ():
            audit = audits[own["id"]]
            if own["weight"] and audit["score"] is not None and audit["score"] < 1:
                failed.append(f"{name}: {audit['title']}")
    scores = {name: round(100 * (report["categories"][name]["score"] or 0)) for name in CATEGORIES}
    return {"scores": scores, "failed": failed}


def main(pages: list[str]) -> int:
    """Print what is found; 1 where an audit of what all must be able to use fails."""
    site = ROOT / "site"
    if not PROGRAM.exists() or not site.is_dir():
        sys.exit("there is no Lighthouse in .services, or no site: make lighthouse brings both")
    print(f"{'page':34}{'':9}" + "".join(f"{words:>16}" for words in CATEGORIES.values()))
    wrong = 0
    with served(site) as base:
        for page in pages or KINDS:
            for form in FORMS:
                try:
                    found = asked(f"{base}/{page}", form)
                except RuntimeError as broken:  # a machine too busy answers late, and the next page may do
                    print(f"{page:34}{form:9} no answer: {str(broken)[-200:].strip()}", flush=True)
                    wrong += 1
                    continue
                print(f"{page:34}{form:9}" + "".join(f"{own:16}" for own in found["scores"].values()), flush=True)
                for line in found["failed"]:
                    print(f"    {line}", flush=True)
                    wrong += line.startswith("accessibility")
    return min(1, wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
