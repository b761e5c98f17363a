"""Read a file of SPSS, Stata or SAS in a process of its own; see `own_process.py`.

The C library that reads them breaks down on some damaged files. The header holds `names`, `texts` by position,
`numbers` as positions, `formats`, `labels` and `rows`; behind it stand the columns of numbers as float64.
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from typing import Any

LIMIT, DAMAGED, ENCODING = 3, 4, 5  # exit codes


def main(function: str, path: str, encoding: str, most_cells: int, most_of_size: int) -> int:
    """Read and write; return the exit code, with the rows and columns that are too many on the standard error."""
    import pyreadstat

    read = getattr(pyreadstat, function)
    options: dict[str, Any] = {"disable_datetime_conversion": True, "output_format": "dict"}
    options |= {"encoding": encoding} if encoding else {}
    try:
        _, header = read(path, metadataonly=True, **options)
        width = max(1, int(header.number_columns or 0))
        announced = None if header.number_rows is None or header.number_rows < 0 else int(header.number_rows)
        if announced is not None and announced * width > min(most_cells, most_of_size):
            print(announced, width, file=sys.stderr)
            return LIMIT
        most = most_cells // width
        columns, meta = read(path, row_limit=most + 1, **options)
    except Exception as fault:  # messages of the package quote paths and cells
        return ENCODING if "string" in str(fault) and "onver" in str(fault) else DAMAGED
    rows = len(next(iter(columns.values()), []))
    if rows > most:
        print(rows, width, file=sys.stderr)
        return LIMIT
    if (announced is not None and announced != rows) or any(len(values) != rows for values in columns.values()):
        return DAMAGED
    write(columns, meta)
    return 0


def write(columns: dict[str, list[Any]], meta: Any) -> None:
    """Write the columns to the standard output; see above."""
    texts, numbers = {}, []
    for position, values in enumerate(columns.values()):
        if any(isinstance(value, str) for value in values):
            texts[position] = ["" if value is None or value != value else str(value) for value in values]
        else:
            numbers.append(position)
    names = list(columns)
    header = json.dumps(
        {
            "names": names,
            "texts": texts,
            "numbers": numbers,
            "formats": [meta.original_variable_types.get(name) or "" for name in names],
            "labels": [
                [[code, word] for code, word in (meta.variable_value_labels.get(name) or {}).items()] for name in names
            ],
            "rows": len(columns[names[0]]) if names else 0,
        }
    ).encode("utf-8", "surrogatepass")
    out = sys.stdout.buffer
    out.write(struct.pack("<Q", len(header)))
    out.write(header)
    own = list(columns.values())
    for position in numbers:
        out.write(array("d", (float("nan") if value is None else float(value) for value in own[position])).tobytes())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
