"""Fixtures of the integration tests; tests/lab/README.md tells how to use them."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.fill import fill  # noqa: E402
from lab.pair import Template, make_pair  # noqa: E402
from lab.workplace import place  # noqa: E402

FILL = {"users": 12, "mailboxes": 3, "messages": 10, "seed": 1}


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out by runtests --quick")
    config.addinivalue_line("markers", "matrix: run by runtests --matrix only")
    config.addinivalue_line("markers", "lab(conf, master_conf, replica_conf, replicas, services, "
                                       "template): options of the pair and filled_pair fixtures")


def _options(request):
    options = {}
    for marker in reversed(list(request.node.iter_markers("lab"))):
        options.update(marker.kwargs)
    return options


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its servers hold and what they said last."""
    report = (yield).get_result()
    pair = getattr(item, "lab_pair", None)
    if report.when == "call" and report.failed and pair is not None:
        try:
            report.sections.append(("what the servers hold", pair.sizes()))
        except Exception as error:
            report.sections.append(("what the servers hold", f"cannot be told: {error}"))
        for server in pair.servers:
            report.sections.append((f"syslog of {server.name}", server.tail()))


@pytest.fixture(scope="session", autouse=True)
def nothing_left_running():
    """Every process that a test started has been ended by the end of the session."""
    yield
    left = [" ".join(map(str, p.args)) for p in place().running()]
    for process in place().running():
        place().end(process)
    assert left == []


@pytest.fixture
def pair(request):
    """A fresh, running, empty master with its replica."""
    options = _options(request)
    options.pop("template", None)
    with make_pair(**options) as made:
        request.node.lab_pair = made
        yield made


@pytest.fixture
def fred(pair):
    """The pair, with a user fred on the master who has nothing yet. Not replicated."""
    with pair.master.imap() as admin:
        admin.create("user/fred")
    return pair


@pytest.fixture(scope="session")
def filled_template():
    """Stores of a filled pair of default options, already replicated; made when first wanted."""
    with make_pair() as made:
        fill(made.master, **FILL)
        made.replicate()
        return Template(made)


@pytest.fixture
def filled_pair(request):
    """A running pair with 12 users, replicated. A pair of other options than conf that only
    matters at run time wants the marker lab(template=False): it is then filled afresh."""
    options = _options(request)
    fresh = not options.pop("template", True) or "replicas" in options
    template = None if fresh else request.getfixturevalue("filled_template")
    with make_pair(template=template, **options) as made:
        request.node.lab_pair = made
        if fresh:
            fill(made.master, **FILL)
            made.replicate()
        yield made
