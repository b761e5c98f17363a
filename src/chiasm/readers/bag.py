"""Reader of bags: features that another program made of a patient's slides, scans or words, one token per row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chiasm.cohort.bag_files import RefusedBag, bag_shape, read_bag
from chiasm.readers.guard import file_of, guarded
from chiasm.readers.reading import LIMITS, Floats, Item, Limits, ReadError, check_values
from chiasm.room import all_finite

NOUN, FIX = "a bag", "write the bag again"


class BagReader:
    """Reader of a `(T, D)` float32 array: the only array of a .npy, .h5 or .safetensors, or the one called `features`.

    Integers, float16, bfloat16 and float64 become float32. Pickles (.pt, .pth, .pkl, object arrays) are refused, since
    reading one can run code that it contains; the message gives the command that converts one.
    """

    kind = "bag"
    version = "1"

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return no notes; refuse from the header what `read` would refuse."""
        self._shape(item, limits)
        return ()

    def read(self, item: Item, limits: Limits = LIMITS) -> Floats:
        """Read the tokens.

        Raises:
            ReadError: not a bag, damaged, over a limit, not two axes, no token, not finite, linked to another file.
            Unsupported: h5py is missing.
        """
        self._shape(item, limits)
        with guarded(NOUN, FIX), _said():
            values = read_bag(file_of(item, limits))
        if not all_finite(values):
            raise ReadError("the bag holds values that are not finite", "find where they come from, and write it again")
        return values

    def _shape(self, item: Item, limits: Limits) -> None:
        path = file_of(item, limits)
        with guarded(NOUN, FIX), _said():
            shape = bag_shape(path)
        if len(shape) != 2:
            raise ReadError(f"the bag has {len(shape)} axes in place of two (tokens, width)", "write it as a matrix")
        if not shape[0]:
            raise ReadError("the bag holds no token", "take the file away if the patient has none")
        check_values(shape, limits, "check the file, or keep fewer tokens")


@contextmanager
def _said() -> Iterator[None]:
    """Convert the cohort's `RefusedBag` to a ReadError."""
    try:
        yield
    except RefusedBag as refused:
        raise ReadError(str(refused), refused.fix) from None
