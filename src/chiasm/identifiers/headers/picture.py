"""Labels of PNG, JPEG, TIFF and other pictures: text chunks, comments, tags, EXIF with the place, XMP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chiasm.identifiers.headers.label import TEXT_BYTES, Label
from chiasm.readers.reading import ReadError

EXIF_KINDS = {
    "Artist": "name", "CameraOwnerName": "name", "XPAuthor": "name", "HostComputer": "ip", "BodySerialNumber": "device",
    "LensSerialNumber": "device", "CameraSerialNumber": "device", "DateTime": "date", "DateTimeOriginal": "date",
    "DateTimeDigitized": "date", "ImageUniqueID": "other", "Copyright": None,
}  # fmt: skip
CAMERA = ("Make", "Model", "FNumber", "FocalLength", "ExposureTime", "LensModel")
PLACE = ("GPSLatitude", "GPSLongitude", "GPSAreaInformation", "GPSDestLatitude")
KEYWORDS = (
    "Title",
    "Author",
    "Description",
    "Copyright",
    "Creation Time",
    "Software",
    "Disclaimer",
    "Warning",
    "Source",
    "Comment",
)
XMP = ("xmp", "XML:com.adobe.xmp")
NO_TEXT = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "exif", "icc_profile", "gamma", "srgb",
           "transparency", "compression", "adobe", "adobe_transform", "progressive", "progression", "photoshop",
           "interlace", "aspect", "chromaticity", "background", "mp", "mpoffset"}  # fmt: skip
TAGS_OF_TIFF = {270: "ImageDescription", 271: "Make", 272: "Model", 305: "Software", 306: "DateTime", 315: "Artist",
                316: "HostComputer", 33432: "Copyright", 269: "DocumentName", 285: "PageName"}  # fmt: skip
SLIDE_LABEL = re.compile(r"(?i)^(?:label|macro)\b|\nlabel ")
APERIO = re.compile(r"(?i)\|\s*(date|user|scanscope id|filename|imageid|slide ?id|barcode|title)\s*=\s*([^|]+)")
APERIO_KINDS = {
    "date": "date",
    "user": "name",
    "scanscope id": "device",
    "imageid": "other",
    "slideid": "other",
    "barcode": "other",
}


def picture_labels(path: Path) -> Iterator[Label]:
    """Yield the labels of a picture, decoding none of its pixels; inside `guarded`."""
    from PIL import Image

    Image.init()
    with path.open("rb") as file:
        if file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            yield from tiff_labels(path)
            return
    for accepted in Image.ID:  # `Image.open` would check the size against a setting of the whole process
        factory, accept = Image.OPEN[accepted]
        with path.open("rb") as file:
            prefix = file.read(16)
            if accept is None or accept(prefix) is not True:
                continue
            file.seek(0)
            yield from _labels(factory(file, str(path)))
            return
    raise ReadError("the file is no picture", "write it again")


def _labels(image: Any) -> Iterator[Label]:
    if image.format == "PNG" and _is_small(image):
        image.load()
    yield from exif_labels(image.getexif())
    others = 0
    for name, value in image.info.items():
        if str(name).lower() in NO_TEXT:
            continue
        text = (
            value.decode("utf-8", "replace")
            if isinstance(value, bytes)
            else str(value)
            if isinstance(value, str | tuple)
            else ""
        )
        if name in XMP:
            text = re.sub(r"<[^>]*>|xmlns:\w+=\"[^\"]*\"", " ", text)
        elif name not in KEYWORDS and name.lower() != "comment" and isinstance(value, str):
            others += 1
            text, name = f"{name}: {text}", "text chunk"  # the name is the author's: it may name somebody
        if text.strip():
            yield Label(f"{image.format} {name}", text[:TEXT_BYTES])


def _is_small(image: Any) -> bool:
    """Tell a PNG of which the chunks behind the pixels, where texts may stand, are read by decoding it."""
    return int(image.width) * int(image.height) <= 4_000_000


def exif_labels(exif: Any) -> Iterator[Label]:
    """Yield the EXIF tags with a text, of the picture and of the camera, and the place where it was taken."""
    from PIL.ExifTags import GPSTAGS, IFD, TAGS

    own = {TAGS.get(number, ""): value for number, value in {**exif, **exif.get_ifd(IFD.Exif)}.items()}
    where = {GPSTAGS.get(number, ""): value for number, value in exif.get_ifd(IFD.GPSInfo).items()}
    for name, value in own.items():
        text = _text(value)
        if name and text:
            yield Label(f"EXIF {name}", text, EXIF_KINDS.get(name))
    for name in PLACE:
        if where.get(name):
            yield Label(f"EXIF {name}", "a place", "place")
    if where.get("GPSDateStamp"):
        yield Label("EXIF GPSDateStamp", str(where["GPSDateStamp"]), "date")
    if sum(name in own for name in CAMERA) >= 3:
        yield Label("EXIF of a camera", "a photograph", "photo")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        for coding in ("utf-8", "utf-16-le", "latin-1"):
            try:
                text = value.removeprefix(b"ASCII\0\0\0").decode(coding).strip("\0 ")
            except UnicodeDecodeError:
                continue
            return text if text.isprintable() else ""
    return value.strip("\0 ") if isinstance(value, str) else ""


def tiff_labels(path: Path) -> Iterator[Label]:
    """Yield the texts of the pages of a TIFF, of slides too, and whether one shows the label of the slide."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        for number, page in enumerate(tiff.pages[:64]):
            tags = getattr(page, "tags", None)
            if tags is None:
                continue
            for code, name in TAGS_OF_TIFF.items():
                value = tags[code].value if code in tags else None
                if not isinstance(value, str) or not value.strip():
                    continue
                yield from _of_page(name, value[:TEXT_BYTES], number)
            if 34853 in tags:
                yield Label("TIFF GPSInfo", "a place", "place")
        if any(str(own.name).casefold() == "label" for own in tiff.series):
            yield Label("the page of the slide's label", "a picture of what is written on it", "other")


def _of_page(name: str, value: str, number: int) -> Iterator[Label]:
    if name == "ImageDescription" and value.startswith("Aperio"):
        for key, text in APERIO.findall(value):
            yield Label(f"TIFF ImageDescription, {key.lower()}", text.strip(), APERIO_KINDS.get(key.lower()))
        return
    if name == "ImageDescription" and number and SLIDE_LABEL.search(value):
        yield Label("the page of the slide's label", "a picture of what is written on it", "other")
    if name == "ImageDescription" and value.lstrip().startswith("<"):
        value = re.sub(r"<[^>]*>", " ", value)
    yield Label(f"TIFF {name}", value, EXIF_KINDS.get(name))
