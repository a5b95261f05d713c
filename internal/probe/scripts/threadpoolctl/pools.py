"""threadpoolctl lists the loaded BLAS and OpenMP libraries and limits their threads."""
import importlib.metadata
import importlib.util
import json

import threadpoolctl

if importlib.metadata.version("threadpoolctl") != threadpoolctl.__version__:
    raise SystemExit("threadpoolctl: metadata and module disagree on the version")
if importlib.util.find_spec("numpy"):
    import numpy
    numpy.ones((50, 50)) @ numpy.ones((50, 50))
else:
    print("skipped: the check that a BLAS is found (numpy is not there)")
info = threadpoolctl.threadpool_info()
json.dumps(info)
controller = threadpoolctl.ThreadpoolController()
if len(controller.info()) != len(info):
    raise SystemExit("threadpoolctl: the controller sees other libraries than threadpool_info")
if importlib.util.find_spec("numpy") and not any(i["user_api"] == "blas" for i in info):
    raise SystemExit("threadpoolctl: numpy's BLAS is not found (symbols or file name changed?)")
with threadpoolctl.threadpool_limits(limits=1):
    for i in threadpoolctl.threadpool_info():
        if i["num_threads"] != 1:
            raise SystemExit("threadpoolctl: the limit does not reach " + i["filepath"])


@controller.wrap(limits=1)
def work():
    return sum(range(10))


if work() != 45 or len(controller.select(user_api="blas").info()) > len(info):
    raise SystemExit("threadpoolctl: wrap or select")
