"""Model folders that somebody made to do harm, each by one change of a sound one, with the hashes that go with it."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chiasm import limits
from chiasm.artifact.files import digest, sha256

Maker = Callable[[Path], None]


class Opens:
    """Unpickled, it writes the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.write_text, (self.canary, "canary"))


def canary_of(folder: Path) -> Path:
    """Where harm would leave its mark."""
    return folder.parent / "canary"


def bomb(folder: Path) -> bytes:
    return pickle.dumps(Opens(canary_of(folder)))


def code(folder: Path) -> str:
    return f"__import__('pathlib').Path({str(canary_of(folder))!r}).write_text('canary')"


def reseal(folder: Path, change: Callable[[Any], None] = lambda document: None) -> None:
    """Rewrite model.json after a change, with the hashes that an attacker would give it."""
    document = json.loads((folder / "model.json").read_text())
    change(document)
    document["weights_sha256"] = sha256(folder / "weights.safetensors")
    document["sha256"] = digest(document)
    (folder / "model.json").write_text(json.dumps(document))


def described(change: Callable[[Any], Any]) -> Maker:
    """A change of the tree, resealed."""

    def make(folder: Path) -> None:
        reseal(folder, lambda document: change(document["model"]))

    return make


def weighed(content: Callable[[Path], bytes]) -> Maker:
    """Other weights, resealed."""

    def make(folder: Path) -> None:
        (folder / "weights.safetensors").write_bytes(content(folder))
        reseal(folder)

    return make


def text(content: Callable[[Path], bytes]) -> Maker:
    """Another model.json, as it stands."""

    def make(folder: Path) -> None:
        (folder / "model.json").write_bytes(content(folder))

    return make


def headed(change: Callable[[dict[str, Any]], Any], more: bytes = b"") -> Maker:
    """A change of the header of the weights, resealed; the numbers stay, and `more` comes after them."""

    def content(folder: Path) -> bytes:
        raw = (folder / "weights.safetensors").read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + length])
        changed = change(header)
        own = (changed if isinstance(changed, str) else json.dumps(header)).encode()
        own += b" " * (-len(own) % 8)
        return struct.pack("<Q", len(own)) + own + raw[8 + length :] + more

    return weighed(content)


def of_names(header: dict[str, Any]) -> list[str]:
    return sorted(name for name in header if not name.startswith("__"))


def overlapping(header: dict[str, Any]) -> None:
    one, other = of_names(header)[:2]
    header[other] = dict(header[one])


def lengthened(by: int) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        last = max(of_names(header), key=lambda name: header[name]["data_offsets"][1])
        header[last]["data_offsets"][1] += by

    return change


def typed(dtype: str) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        header[next(name for name in of_names(header) if name.endswith("ranked"))]["dtype"] = dtype

    return change


def shaped(shape: list[int]) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        header[of_names(header)[0]]["shape"] = shape

    return change


def doubled(header: dict[str, Any]) -> str:
    name = of_names(header)[0]
    return json.dumps(header)[:-1] + f", {json.dumps(name)}: {json.dumps(header[name])}}}"


def spoilt(number: float) -> Maker:
    """The last number of the first array of the scaler's median is no number."""

    def content(folder: Path) -> bytes:
        raw = bytearray((folder / "weights.safetensors").read_bytes())
        length = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + length])
        place = 8 + length + header[next(name for name in header if name.endswith("median"))]["data_offsets"][0]
        raw[place : place + 8] = struct.pack("<d", number)
        return bytes(raw)

    return weighed(content)


def zipped(folder: Path) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("archive/data.pkl", bomb(folder))
        archive.writestr("../../canary", "canary")
    return held.getvalue()


def hollow(name: str, size: int) -> Maker:
    def make(folder: Path) -> None:
        os.truncate(folder / name, size)

    return make


def linked(name: str) -> Maker:
    """A link to a sound file that lies outside of the folder."""

    def make(folder: Path) -> None:
        outside = folder.parent / f"outside-{name}"
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)

    return make


def put(name: str, content: bytes = b"") -> Maker:
    return lambda folder: (folder / name).write_bytes(content) and None


def replaced(name: str, make: Callable[[Path], Any]) -> Maker:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return change


def socket_at(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has a hundred characters at most
    try:
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(path.name)
    finally:
        os.chdir(here)


def nested(depth: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        inner = model["predictor"]
        for _ in range(depth):
            inner = {**{key: value for key, value in model.items() if key != "response"}, "predictor": inner}
        model["predictor"] = inner

    return change


def many(tree: Any, number: int) -> Callable[[Any], None]:
    return lambda model: model["target"].update(more=[tree] * number)


def deep(depth: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        tree: Any = 0
        for _ in range(depth):
            tree = [tree]
        model["target"]["more"] = tree

    return change


def signed_elsewhere(folder: Path) -> None:
    """The signature of another folder, which its key did make; what it says of that folder is not true of this one."""
    shutil.copy(Path(os.environ["SIGNED_ELSEWHERE"]), folder / "signature.json")


def reference(model: Any) -> Any:
    return dict(model["response"]["hazard"])


HOSTILE: dict[str, tuple[Maker, str]] = {
    "pickle as weights": (weighed(bomb), "not safetensors"),
    "pickle as description": (text(bomb), "is not JSON"),
    "zip with a pickle and a path that climbs": (weighed(zipped), "not safetensors"),
    "code as description": (text(lambda folder: code(folder).encode()), "is not JSON"),
    "code as kind": (lambda folder: described(lambda m: m.update({"$kind": code(folder)}))(folder), "unknown kind"),
    "kind of another module": (described(lambda m: m.update({"$kind": "os.system"})), "unknown kind"),
    "kind that is a list": (described(lambda m: m.update({"$kind": ["model"]})), "unknown kind"),
    "kind of another part": (described(lambda m: m["response"].update({"$kind": "scaler"})), "unknown or missing"),
    "models in models": (described(nested(20)), "unknown or missing"),
    "part where another belongs": (described(lambda m: m.update(predictor={"a": 1})), "wrong type"),
    "version of the future": (described(lambda m: m.update({"$version": 10**6})), "of version"),
    "header of a gigabyte": (weighed(lambda f: struct.pack("<Q", 2**30) + b"{}"), "not safetensors"),
    "header longer than the file": (weighed(lambda f: struct.pack("<Q", 500) + b"{}" * 100), "not safetensors"),
    "header length that overflows": (weighed(lambda f: struct.pack("<Q", 2**64 - 1) + b"{}" * 9), "not safetensors"),
    "overlapping tensors": (headed(overlapping), "not safetensors"),
    "gap after the tensors": (headed(lambda header: None, b"\0" * 64), "not safetensors"),
    "offsets beyond the file": (headed(lengthened(2**40)), "not safetensors"),
    "dtype of positions": (headed(typed("F64")), "cannot be"),
    "dtype that is none": (headed(typed("PICKLE")), "not safetensors"),
    "shape that overflows": (headed(shaped([2**62, 8])), "not safetensors"),
    "shape below zero": (headed(shaped([-1])), "not safetensors"),
    "a hundred thousand sides": (headed(shaped([1] * 100_000)), "not safetensors"),
    "name twice in the header": (headed(doubled), "not safetensors"),
    "notes that are no text": (headed(lambda h: h.update({"__metadata__": {"a": [1]}})), "not safetensors"),
    "NaN in a weight": (spoilt(float("nan")), "not finite"),
    "infinity in a weight": (spoilt(float("inf")), "not finite"),
    "description nested a hundred thousand deep": (text(lambda f: b"[" * 100_000), "model.json"),
    "tree nested deep": (described(deep(500)), "nested deeper"),
    "key twice": (
        text(lambda f: (f / "model.json").read_bytes().replace(b'"schema"', b'"schema": 9, "schema"', 1)),
        "names a key twice",
    ),
    "endless whole number": (text(lambda f: b'{"schema": ' + b"9" * 5000 + b"}"), "over 64 bits"),
    "whole number of 70 bits": (described(lambda m: m["target"].update(n=2**70)), "over 64 bits"),
    "NaN in the description": (described(lambda m: m["response"].update(slope=float("nan"))), "not finite"),
    "array named a thousand times": (
        described(lambda m: m["target"].update(more=[reference(m)] * 1000)),
        "or to one twice",
    ),
    "array that nobody names": (described(lambda m: m["response"].update(hazard=None)), ""),
    "very many parts": (described(many({"$kind": "prior"}, 101_000)), "over 100,000 parts"),
    "millions of brackets": (text(lambda f: b"[" + b"[]," * limits.JSON_PARTS + b"0]"), "parts"),
    "half of the brackets that are read": (
        text(lambda f: b"[" + b"{}," * (limits.JSON_PARTS // 4) + b"0]"),
        "model.json",
    ),
    "description of holes": (hollow("model.json", limits.MODEL_JSON_BYTES + 1), "over the limit"),
    "weights of a terabyte of holes": (hollow("weights.safetensors", 10**12), "over the limit"),
    "weights of holes": (hollow("weights.safetensors", limits.WEIGHTS_BYTES), "holes"),
    "link out, description": (linked("model.json"), "a link"),
    "link out, weights": (linked("weights.safetensors"), "a link"),
    "pipe as description": (replaced("model.json", os.mkfifo), "no file"),
    "pipe as weights": (replaced("weights.safetensors", os.mkfifo), "no file"),
    "pipe as signature": (replaced("signature.json", os.mkfifo), "no file"),
    "socket as weights": (replaced("weights.safetensors", socket_at), "no file"),
    "folder as weights": (replaced("weights.safetensors", Path.mkdir), "no file"),
    "truncated weights": (
        weighed(lambda f: (f / "weights.safetensors").read_bytes()[:-1]),
        "truncated",
    ),
    "truncated description": (text(lambda f: (f / "model.json").read_bytes()[:-2]), "is not JSON"),
    "wrong hash of the description": (
        text(lambda f: (f / "model.json").read_bytes().replace(b'"died"', b'"dead"')),
        "does not have the hash",
    ),
    "extra file": (put("more.pkl", b"x"), "is no file of a model"),
    "hidden file": (put(".pth"), "is no file of a model"),
    "file with a name that looks alike": (put("m\N{CYRILLIC SMALL LETTER O}del.json"), "is no file of a model"),
    "file with a name of another case": (put("Model.json"), "is no file of a model"),
    "file with a name that steers the terminal": (put("\x1b[2J\n.json"), "is no file of a model"),
    "folder within": (lambda folder: (folder / "__pycache__").mkdir(), "is no file of a model"),
    "signature of another folder": (signed_elsewhere, "after the model was signed"),
    "signature that is none": (put("signature.json", b"[]"), "not a signature"),
    "signature of holes": (hollow("signature.json", 2**30), "over the limit"),
    "facts that nobody writes": (lambda folder: reseal(folder, lambda d: d.update(facts={"run": "x"})), "facts"),
    "text that is no UTF-8": (text(lambda f: b"\xff\xfe{\0}\0"), "is not JSON"),
}


def make_all(sound: Path, root: Path) -> dict[str, Path]:
    """Make every hostile folder from a copy of a sound one; where each lies."""
    places = {}
    for number, (name, (make, _)) in enumerate(HOSTILE.items()):
        folder = root / f"h{number}" / "model"
        shutil.copytree(sound, folder)
        if name == "signature of holes":
            (folder / "signature.json").touch()
        make(folder)
        places[name] = folder
    return places
