"""psutil reads this process, the machine and the network from the kernel through its C module."""
import importlib.metadata
import os
import subprocess
import sys

import psutil


def check(ok, what):
    if not ok:
        raise SystemExit("psutil: " + what)


check(importlib.metadata.version("psutil") == psutil.__version__, "metadata and module disagree on the version")
me = psutil.Process()
check(me.pid == os.getpid() and me.is_running() and me.memory_info().rss > 1 << 20 and me.num_threads() >= 1, "this process")
with me.oneshot():
    check(me.cmdline() and me.cpu_times().user >= 0 and me.create_time() > 0 and me.cwd() == os.getcwd() and me.status() in ("running", "sleeping"), "details")
child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
there = psutil.Process(child.pid)
check(there.ppid() == os.getpid() and child.pid in [c.pid for c in me.children()], "child")
child.communicate(b"\n")
try:
    psutil.Process(child.pid).name()
    raise SystemExit("psutil: a process that has ended is there")
except psutil.NoSuchProcess:
    pass
memory = psutil.virtual_memory()
check(0 < memory.available <= memory.total and psutil.cpu_count() >= 1 and len(psutil.cpu_percent(percpu=True)) >= 1 and psutil.boot_time() > 0, "machine")
check(psutil.disk_usage("/").total > 0 and psutil.swap_memory().total >= 0 and len(psutil.getloadavg()) == 3 and isinstance(psutil.net_if_addrs(), dict), "disk or network")
check(os.getpid() in psutil.pids() and psutil.pid_exists(os.getpid()), "processes")
