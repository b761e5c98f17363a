"""What nobody would see is not looked for: findings are hushed by a filter that ignores every one of them."""

from __future__ import annotations

import warnings

from chiasm.errors import findings_are_hushed, hush_findings


def test_the_first_filter_about_findings_decides() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert not findings_are_hushed()
        hush_findings()
        assert findings_are_hushed()
        warnings.simplefilter("ignore", DeprecationWarning)  # of others
        assert findings_are_hushed()
        warnings.filterwarnings("error", "column", UserWarning)  # some are to be seen
        assert not findings_are_hushed()
