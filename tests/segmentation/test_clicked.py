"""Clicks are read and refused in one sentence, and a region grows about them without a model."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.cohort import Unsupported
from chiasm.segmentation.clicked import Click, parsed_click, require_places
from chiasm.targets.label_maps import map_of

LABELS = ("organ", "tumour")


def test_a_click_is_read_as_it_is_written() -> None:
    assert parsed_click("12,40.5,+", ("organ",)) == Click((12.0, 40.5), True, "organ")
    assert parsed_click(" 3, 12 ,40,-, tumour", LABELS) == Click((3.0, 12.0, 40.0), False, "tumour")
    assert Click((0.49, 1.5), True, "organ").pixel == (0, 2)
    for wrong in ("12,+", "12,40", "a,b,+", "1,2,3,4,+", "1,2,+,organ,more", "nan,2,+"):
        with pytest.raises(ValueError, match="write y,x,"):
            parsed_click(wrong, LABELS)
    with pytest.raises(Unsupported, match="click 1 is of no label: name one of organ, tumour"):
        parsed_click("1,2,+", LABELS)
    with pytest.raises(Unsupported, match="of 'liver', which is no label"):
        parsed_click("1,2,+,liver", LABELS)


def test_a_click_outside_and_a_map_of_another_shape_are_one_sentence() -> None:
    inside = Click((3.0, 4.4), True, "organ")
    require_places([inside], (4, 5), map_of(np.zeros((4, 5), dtype=int)))
    for place in ((4.0, 0.0), (-0.6, 0.0), (0.0, 4.5)):
        with pytest.raises(Unsupported, match="click 2 lies outside of the image, which is 4 x 5"):
            require_places([inside, Click(place, True, "organ")], (4, 5))
    with pytest.raises(Unsupported, match="click 1 has 2 coordinates, and the image is 2 x 4 x 5"):
        require_places([inside], (2, 4, 5))
    with pytest.raises(Unsupported, match="the label map before is 5 x 4, and the image 4 x 5"):
        require_places([], (4, 5), map_of(np.zeros((5, 4), dtype=int)))
