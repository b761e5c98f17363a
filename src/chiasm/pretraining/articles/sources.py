"""Articles where they lie: XML files, archives of an article with its images, folders of both."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from chiasm.limits import BOMB_BYTES, BOMB_RATIO, GIGABYTE, LimitError, require_regular
from chiasm.pretraining.articles.jats import MOST_BYTES, Article, read_article
from chiasm.pretraining.articles.tar import AGAIN, Cut, Stream, members
from chiasm.readers.reading import ReadError

XML = (".nxml", ".xml")
ARCHIVES = (".tar.gz", ".tgz", ".tar")
PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".gif", ".bmp")  # the order in which one is chosen
PICTURE_BYTES = 64 << 20
HELD_BYTES = GIGABYTE  # of the pictures of one folder of an archive, which are in memory together
ARCHIVE_BYTES = 64 * GIGABYTE


@dataclass(frozen=True)
class Found:
    """An article, or why there is none: `fault` is None exactly where `article` is there.

    Attributes:
        source: number of the path that was given, from 0, and `name` of the file within it, for a message.
        pictures: names of the pictures beside it, as `by_stem`; `picture` reads one of them.
    """

    source: int
    name: str
    article: Article | None
    fault: ReadError | None
    pictures: Mapping[str, Sequence[str]] = field(default_factory=dict)
    picture: Callable[[str], bytes] = lambda name: b""


def articles_in(paths: Sequence[Path], told: Callable[[int, int], None] = lambda done, many: None) -> Iterator[Found]:
    """Yield each article of the paths in their order, in a folder in the order of the names.

    What cannot be read is yielded with its fault; the others go on. A broken archive ends where it breaks. `told` hears
    how many of the files are done.

    Raises:
        FileNotFoundError: there is no such path.
        ReadError: a folder holds no article and no archive, or a file is neither.
    """
    listed = [(number, file) for number, path in enumerate(paths) for file in _files(path)]
    folder, beside = None, by_stem(())
    for done, (number, file) in enumerate(listed, start=1):
        if file.name.lower().endswith(XML):
            if file.parent != folder:  # read once for all that lie in it
                folder, beside = file.parent, by_stem(own.name for own in file.parent.iterdir())
            yield _alone(number, file, beside)
        else:
            yield from _archived(number, file)
        told(done, len(listed))


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(2, "there is no such file or folder", str(path))
    ends = (*XML, *ARCHIVES)
    if not path.is_dir():
        if not path.name.lower().endswith(ends):
            raise ReadError(f"'{path.name}' is no article", f"name files that end in {', '.join(ends)}, or a folder")
        return [path]
    found = sorted(own for own in path.rglob("*") if own.name.lower().endswith(ends) and own.is_file())
    if not found:
        raise ReadError(f"'{path.name}' holds no article", f"articles end in {', '.join(ends)}")
    return found


def _alone(number: int, file: Path, beside: Mapping[str, Sequence[str]]) -> Found:
    def picture(name: str) -> bytes:
        try:
            require_regular(file.with_name(name), PICTURE_BYTES)
        except LimitError as over:
            raise ReadError(f"the picture {over.what}", over.fix) from None
        return file.with_name(name).read_bytes()

    try:
        try:
            require_regular(file, MOST_BYTES)
        except LimitError as over:
            raise ReadError(f"the article {over.what}", over.fix) from None
        article = read_article(file.read_bytes())
    except ReadError as fault:
        return Found(number, file.name, None, fault)
    return Found(number, file.name, article, None, beside, picture)


def _archived(number: int, file: Path) -> Iterator[Found]:
    """Yield the articles of an archive, folder by folder, each with the pictures of its folder."""
    try:
        size = _size_of(file)
        packed = file.name.lower().endswith((".gz", ".tgz"))
        with gzip.open(file, "rb") if packed else file.open("rb") as stream:
            yield from _by_folder(number, file.name, _Counted(stream, size))
    except (OSError, EOFError, zlib.error, ReadError) as error:
        fault = error if isinstance(error, ReadError) else ReadError("the archive is cut off or damaged", AGAIN)
        yield Found(number, file.name, None, fault)


def _size_of(file: Path) -> int:
    try:
        return require_regular(file, ARCHIVE_BYTES)
    except LimitError as over:
        raise ReadError(f"the archive {over.what}", over.fix) from None


def _by_folder(number: int, archive: str, stream: Stream) -> Iterator[Found]:
    folder, texts, pictures, held = "", dict[str, Article | ReadError](), dict[str, bytes | None](), 0
    try:
        for member, data in members(stream):
            own, name = _place(member.name)
            if not member.regular or not name.lower().endswith((*XML, *PICTURES)):
                continue
            if own != folder:
                yield from _articles(number, archive, texts, pictures)
                folder, texts, pictures, held = own, {}, {}, 0
            if name.lower().endswith(XML):
                texts[name] = _parsed(member.size, data)
            else:
                held += member.size if member.size <= PICTURE_BYTES else 0
                if held > HELD_BYTES:
                    raise ReadError("a folder of the archive holds over 1 GB of pictures", "pack an article a folder")
                pictures[name] = data.read(member.size) if member.size <= PICTURE_BYTES else None
    except (Cut, OSError, EOFError, zlib.error):
        yield from _articles(number, archive, texts, pictures)  # what lies before the cut is whole
        raise
    yield from _articles(number, archive, texts, pictures)


def _place(name: str) -> tuple[str, str]:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise ReadError("a name within the archive leads out of it", "do not use an archive of this origin")
    return str(path.parent), path.name


def _parsed(size: int, data: Stream) -> Article | ReadError:
    if size > MOST_BYTES:
        return ReadError(f"the article is over {MOST_BYTES >> 20} MB", "check the file")
    try:
        return read_article(data.read(size))
    except Cut:
        raise
    except ReadError as fault:
        return fault


def _articles(
    number: int, archive: str, texts: dict[str, Article | ReadError], pictures: dict[str, bytes | None]
) -> Iterator[Found]:
    def picture(name: str) -> bytes:
        held = pictures[name]
        if held is None:
            raise ReadError(f"the picture is over {PICTURE_BYTES >> 20} MB", "reduce it")
        return held

    beside = by_stem(pictures)
    for name, own in texts.items():
        if isinstance(own, ReadError):
            yield Found(number, f"{archive}:{name}", None, own)
        else:
            yield Found(number, f"{archive}:{name}", own, None, beside, picture)


class _Counted:
    """A stream that ends with an error once it has given far more than its file could hold."""

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream, self._left = stream, max(BOMB_BYTES, BOMB_RATIO * size)

    def read(self, size: int) -> bytes:
        held = self._stream.read(size)
        self._left -= len(held)
        if self._left < 0:
            raise ReadError(f"the archive unpacks to over {BOMB_RATIO} times its size, as no article does", "drop it")
        return held


def by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """Return those names that are of pictures, sorted, by what stands before their endings."""
    found: dict[str, list[str]] = {}
    for own in sorted(names):
        if own.lower().endswith(PICTURES):
            found.setdefault(own.rpartition(".")[0], []).append(own)
    return found


def file_of(graphic: str, pictures: Mapping[str, Sequence[str]]) -> str | None:
    """Return the picture that a graphic means: the one of its name, else its name with an ending, the best first.

    Args:
        pictures: as `by_stem`.
    """
    name = PurePosixPath(graphic).name
    if name in pictures.get(name.rpartition(".")[0], ()):
        return name
    endings = {own.lower().rpartition(".")[2]: own for own in pictures.get(name, ())}
    return next((endings[end[1:]] for end in PICTURES if end[1:] in endings), None)
