"""What the lock names, as CycloneDX: with the version, what chiasm itself asks for, and a strict check of the whole.

    python deploy/sbom.py dist/chiasm.cdx.json

It is run where `cyclonedx-bom` is installed (`make sbom`), which reads the lock and knows no version that
stands in code.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def completed(named: dict[str, Any], project: dict[str, Any], version: str) -> dict[str, Any]:
    """The bill with the version of the package and, as its dependencies, those that it asks for itself."""
    root = named["metadata"]["component"]
    root |= {"version": version, "purl": f"pkg:pypi/{root['name']}@{version}"}
    asked = [*project["dependencies"], *project["optional-dependencies"]["survival"]]  # with the demo
    wanted = {_plain(re.match(r"[\w.-]+", own)[0]) for own in asked}  # type: ignore[index]
    found = {_plain(own["name"]): own["bom-ref"] for own in named["components"]}
    if lacking := sorted(wanted - found.keys()):
        sys.exit(f"the lock does not name {', '.join(lacking)}: run `make lock`")
    others = [own for own in named.get("dependencies", []) if own["ref"] != root["bom-ref"]]
    depends = {"ref": root["bom-ref"], "dependsOn": sorted(found[name] for name in wanted)}
    return {**named, "dependencies": [*others, depends]}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(out: Path) -> None:
    """Write the bill, after it was checked against the schema."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    code = (ROOT / "src" / "chiasm" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"$', code, re.MULTILINE)[1]  # type: ignore[index]
    tool = Path(sys.executable).parent / "cyclonedx-py"
    made = subprocess.run(
        [tool, "requirements", "constraints.txt", "--pyproject", "pyproject.toml", "--mc-type", "library",
         "--output-reproducible"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        sys.exit(made.stderr)
    text = json.dumps(completed(json.loads(made.stdout), project, version), indent=2) + "\n"
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"this is no CycloneDX: {wrong}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(f"{out}: {len(json.loads(text)['components'])} packages")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
