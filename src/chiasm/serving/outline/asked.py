"""The images of a request, checked, read and opened for the model that is to draw in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chiasm.errors import nearest
from chiasm.serving.faults import refused
from chiasm.serving.loaded import Loaded
from chiasm.serving.outline.kept import kept_of, on_disk
from chiasm.serving.outline.outlines import Outline
from chiasm.serving.outline.pictures import read_picture
from chiasm.serving.outline.sessions import Open
from chiasm.serving.service import Service
from chiasm.serving.uploads import Part

ASKED = 'send {"images": {"<modality>": {"upload": "<name of its parts>"}}}, and "model" where several draw'


def opened_of(document: Any, files: Sequence[Part], service: Service, owner: str) -> Open:
    """Read the images of a request.

    Raises:
        Refused: 404 without such a model, 422 for what is no image, or images of unequal shape.
    """
    if not isinstance(document, dict) or set(document) - {"model", "images"} or "images" not in document:
        raise refused(422, "not-asked", ASKED)
    loaded, images = model_of(service, document.get("model")), document["images"]
    if not isinstance(images, dict) or not images:
        raise refused(422, "no-images", ASKED, "images")
    parts = {part.source for part in files}
    sources = {}
    for name, value in images.items():
        own = loaded.reads.get(name)
        if own is None:
            like = nearest(name, loaded.reads)
            hint = f"did you mean '{like}'?" if like else f"the model reads {', '.join(sorted(loaded.reads))}"
            raise refused(422, "unknown-modality", f"a modality is not known: {hint}", "images")
        if not isinstance(value, dict) or set(value) != {"upload"} or value["upload"] not in parts:
            raise refused(422, "no-such-part", ASKED, f"images.{name}")
        sources[value["upload"]] = name
    if len(sources) < len(images):
        raise refused(422, "repeated-part", "each modality has parts of its own", "images")
    named = [Part(sources[part.source], part.filename, part.content) for part in files if part.source in sources]
    kept = kept_of(named, service.limits.upload_bytes)
    with on_disk(kept, service.scratch) as paths:
        pictures = {name: read_picture(loaded.reads[name].kind, path) for name, path in paths.items()}
    if len({picture.shape for picture in pictures.values()}) > 1:
        what = f"the images in {' and '.join(sorted(pictures))} differ in shape: register and resample them to one grid"
        raise refused(422, "unequal-shapes", what, "images")
    shape = next(iter(pictures.values())).shape
    return Open(owner, loaded, kept, pictures, Outline(shape, len(loaded.model.response.classes)), 0.0)


def model_of(service: Service, name: Any) -> Loaded:
    """The model that draws: the one that is named, or the default, or the first that can.

    Raises:
        Refused: 404, there is none; 422, it does not draw label maps.
    """
    if name is not None and not isinstance(name, str):
        raise refused(422, "not-asked", ASKED, "model")
    draws = [own for own in service.shelf if own.draws]
    if name is None and draws:
        own = service.shelf.get()
        return own if own.draws else service.shelf.get(draws[0].name)
    own = service.shelf.get(name)
    if not own.draws:
        raise refused(422, "draws-nothing", "this model draws no label maps: /outline/models lists those that do")
    return own
