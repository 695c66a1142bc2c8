"""The tests' own browser: one that hangs ends with an error, and the next is a fresh one."""

from __future__ import annotations

import pytest
from playwright.sync_api import Error


def test_a_page_that_never_answers_ends_with_an_error_and_the_next_browser_is_a_fresh_one(chromium):
    with chromium.within(2) as hanging:
        page = hanging.new_page()
        with pytest.raises(Error):
            page.evaluate("() => { while (true) {} }")

    with chromium.within(60) as fresh:
        assert fresh is not hanging
        page = fresh.new_page()
        assert page.evaluate("() => 6 * 7") == 42
        page.close()
