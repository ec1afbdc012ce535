"""A browser for the tests of the page."""

import re

import pytest
from pages import chromium


@pytest.fixture(scope="module")
def browser(request):
    """A browser, started with what the module says in BROWSER_OPTIONS."""
    with chromium(getattr(request.module, "BROWSER_OPTIONS", ())) as started:
        yield started


@pytest.fixture
def visit(browser):
    """Open an address; at the end of the test, no error may have been logged and nothing fetched from elsewhere."""
    complaints, contexts = [], []

    def open_page(address, ignore="", **settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        home = re.match(r"\w+://[^/]*", address).group()
        page.on("request", lambda request: complaints.append(request.url) if is_elsewhere(request.url, home) else None)
        page.goto(address)
        if ignore:
            complaints_expected.append(ignore)
        return page

    complaints_expected = []
    yield open_page
    for context in contexts:
        context.close()
    left = [text for text in complaints if not any(re.search(known, text) for known in complaints_expected)]
    assert not left


def is_elsewhere(url, home):
    return not url.startswith((home, "data:", "blob:"))
