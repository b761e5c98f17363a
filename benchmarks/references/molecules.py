"""Molecules by RDKit: one case a molecule of its data files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rdkit import Chem, rdBase

from references.compared import Case, Found

MOST = 2000  # of a file: those of 5,000 molecules and more are thinned evenly


def molecule_cases(folder: Path, work: Path) -> Iterator[Case]:
    """Every molecule in the SDF, MOL, SMILES and tables of RDKit's Data and Contrib, and the InChI of some."""
    with rdBase.BlockLogs():
        work.mkdir(parents=True, exist_ok=True)
        for part in ("Data", "Contrib"):
            for path in sorted((folder / part).rglob("*")):
                name = path.relative_to(folder.parent).as_posix()
                if path.suffix in (".sdf", ".mol"):
                    yield from _structures(path, name, work)
                elif path.suffix in (".smi", ".csv", ".txt") and "Fonts" not in path.parts:
                    texts = list(_smiles(path))
                    for number, text in texts[:: -(-len(texts) // MOST)] if texts else ():
                        yield Case("SMILES", f"{name}:{number}", "molecule", text, lambda text=text: by_rdkit(text))
        molecules = Chem.SDMolSupplier(str(folder / "Data" / "NCI" / "first_200.props.sdf"))
        for number, molecule in enumerate(found for found in molecules if found is not None):
            inchi = Chem.MolToInchi(molecule, logLevel=None)
            yield Case(
                "InChI", f"written: of molecule {number}", "molecule", inchi,
                lambda inchi=inchi: {"": Chem.MolToSmiles(Chem.MolFromInchi(inchi, logLevel=None))},
            )  # fmt: skip


def by_rdkit(smiles: str) -> Found:
    """The canonical SMILES."""
    return {"": Chem.MolToSmiles(Chem.MolFromSmiles(smiles))}


def _structures(path: Path, name: str, work: Path) -> Iterator[Case]:
    """Each record of a structure file, written to a file of its own."""
    supplier: Any = Chem.SDMolSupplier(str(path))
    for number in range(len(supplier)):
        own = work / f"{name.replace('/', '-')}-{number}.sdf"
        own.write_text(supplier.GetItemText(number), encoding="utf-8")
        yield Case(
            "SDF, MOL", f"{name}:{number}", "molecule", own,
            lambda number=number, supplier=supplier: {"": Chem.MolToSmiles(supplier[number])},
        )  # fmt: skip


def _smiles(path: Path) -> Iterator[tuple[int, str]]:
    """The cells of a text file that are SMILES of molecules to RDKit, by line: of each line the first such cell."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        sample = file.readline()
        file.seek(0)
        mark = "\t" if "\t" in sample else "," if "," in sample else " "
        column = None
        for number, cells in enumerate(csv.reader(file, delimiter=mark), 1):
            if number == 1 and (names := [cell.lower() for cell in cells]) and "smiles" in names:
                column = names.index("smiles")
                continue
            places = [column] if column is not None else range(min(len(cells), 3))
            for place in places:
                cell = cells[place].strip() if place < len(cells) else ""
                if len(cell.split()) == 1 and _looks_like(cell):
                    yield number, cell
                    break


def _looks_like(cell: str) -> bool:
    return any(letter.isalpha() for letter in cell) and Chem.MolFromSmiles(cell, sanitize=False) is not None
