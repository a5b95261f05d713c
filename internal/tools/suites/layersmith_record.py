"""A plugin of pytest that writes down every test as it ends, so that a worker that dies takes nothing with it, and where modules came from.

LAYERSMITH_RECORD is the folder for one file a process, LAYERSMITH_LAYER the layer's site folder. Each line is a JSON list, its first word says what it is.
"""

import json
import os
import sys

_layer = os.path.realpath(os.environ["LAYERSMITH_LAYER"])
_folder = os.path.realpath(os.environ["LAYERSMITH_RECORD"])
_out = None


def _write(*line):
    global _out
    if _out is None or _out[0] != os.getpid():  # a test may fork
        _out = os.getpid(), os.open(os.path.join(_folder, "%d.jsonl" % os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(_out[1], json.dumps(line).encode() + b"\n")


def _reason(report):
    if isinstance(report.longrepr, tuple):  # of a skip: file, line, reason
        return str(report.longrepr[2])[:300]
    lines = [x for x in report.longreprtext.splitlines() if x.startswith("E ")] or report.longreprtext.splitlines()[-1:]
    return " ".join(x[2:].strip() if x.startswith("E ") else x for x in lines[:3])[:500]


class _Worker:
    """What runs tests: a worker of xdist, or the only process."""

    def pytest_collection_finish(self, session):
        for item in session.items:
            _write("collected", item.nodeid)

    def pytest_collectreport(self, report):
        if report.outcome != "passed":
            _write("module", report.nodeid, report.outcome, _reason(report))

    def pytest_runtest_logstart(self, nodeid):
        _write("started", nodeid)

    def pytest_runtest_logreport(self, report):
        _write("report", report.nodeid, report.when, report.outcome, hasattr(report, "wasxfail"), "" if report.passed else _reason(report))

    def pytest_sessionfinish(self):
        own = {n.split(".")[0] for n in os.listdir(_layer) if "-" not in n}
        for name, module in sorted(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if name.split(".")[0] in own and isinstance(file, str):
                inside = os.path.realpath(file).startswith(_layer + os.sep)
                if not inside or "." not in name:
                    _write("loaded", name, file, inside)
        _write("ended")


def pytest_configure(config):
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.register(_Worker(), "layersmith-worker")
