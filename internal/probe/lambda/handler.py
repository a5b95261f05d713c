"""The code of a throw-away function that has a candidate's layers: runs probe jobs on Lambda's own Python.

Event and answer are probe.Request and probe.Response (lambda.go). Each job runs in a fresh process, as it does on a laptop, and the answer means the same: the exit code decides,
detail is the last lines of what it wrote to stderr. Only the search path is the function's own, and what is below /opt is the real thing. Runs on Python 3.9 and later.
"""
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PARALLEL = 2  # one processor for each job from 1,769 MB of memory; more would only slow each other
RESERVE_SECONDS = 5  # to end a job, collect what it wrote and answer
OUTPUT_BYTES = 64 << 10  # of stdout and of stderr, the last ones
DETAIL_LINES = 12
DETAIL_CHARS = 16000
ANSWER_BYTES = 4 << 20  # Lambda takes 6 MB; two details may still come on top
DRAIN_SECONDS = 2  # for output that somebody holds open who left the job's process group
KINDS = ("module", "metadata", "script")

with open(os.path.join(HERE, "runner.py"), encoding="utf-8") as _f:
    RUNNER = _f.read()


def handler(event, context):
    budget = Budget(context, event.get("timeoutSeconds") or 120)
    jobs = event.get("jobs") or []
    answer = {"interpreter": "%s-%s" % (sys.implementation.name, sys.version.split()[0])}
    answer["results"] = run_jobs(jobs, budget)
    answer["remaining"] = len(jobs) - len(answer["results"])
    modules = event.get("imports") or []
    if modules and not answer["remaining"]:
        answer["import"] = time_imports(modules, event.get("rounds") or 3, budget)
    return answer


class Budget:
    """How much time there is. What begins has its whole limit, except for the first of an invocation: that has what there is, so that every invocation comes further."""

    def __init__(self, context, timeout):
        self.context = context
        self.timeout = timeout
        self.lock = threading.Lock()
        self.begun = False

    def left(self):
        return self.context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS

    def limit(self):
        """Seconds for what comes next; None when it has to wait for the next invocation."""
        with self.lock:
            left = self.left()
            if left >= self.timeout:
                self.begun = True
                return self.timeout
            if self.begun:
                return None
            self.begun = True
            return max(1, left)


def run_jobs(jobs, budget):
    """The results of as many jobs as there is time and room for, from the first one on."""
    for job in jobs:
        if job["kind"] not in KINDS:
            raise ValueError("unknown kind of job: %r" % (job["kind"],))
    results = []  # one place for each job that was taken, in their order
    lock = threading.Lock()
    errors = []
    room = [ANSWER_BYTES]

    def work():
        while True:
            with lock:
                n = len(results)
                if n == len(jobs) or errors or room[0] <= 0:
                    return
                limit = budget.limit()
                if limit is None:
                    return
                results.append(None)
            try:
                result = run_job(jobs[n], limit)
            except BaseException as error:  # the machine's fault, not the job's: no disk, no processes
                errors.append(error)
                return
            with lock:
                results[n] = result
                room[0] -= len(json.dumps(result))

    threads = [threading.Thread(target=work) for _ in range(min(PARALLEL, len(jobs)))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return results


def run_job(job, limit):
    with Folder() as folder:
        name = job["name"]
        if job["kind"] == "script":
            name = os.path.join(folder, "script.py")
            with open(name, "wb") as f:
                f.write(job["source"].encode("utf-8", "replace"))
        _, result = run(folder, [job["kind"], name], limit)
    return dict(result, kind=job["kind"], name=job["name"])


def time_imports(modules, rounds, budget):
    """The fastest of several fresh processes; None when there is no time for one."""
    best = None
    with Folder() as folder:
        for _ in range(rounds):
            limit = budget.limit()
            if limit is None:
                break
            out, result = run(folder, ["import"] + modules, limit)
            if not result["ok"]:
                return {"modules": modules, "seconds": 0, "peakBytes": result["peakBytes"], "detail": result["detail"]}
            seconds = float(out.rstrip().rpartition("\n")[2])
            if best is None:
                best = {"modules": modules, "seconds": seconds, "peakBytes": 0}
            best["seconds"] = min(best["seconds"], seconds)
            best["peakBytes"] = max(best["peakBytes"], result["peakBytes"])
    return best


class Folder:
    """A folder of one job's own, gone after it."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="probe-")
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def search_path():
    """What the function has on sys.path, in its order, without its own code."""
    own = {os.path.realpath(p) for p in (HERE, os.environ.get("LAMBDA_TASK_ROOT")) if p}
    return [p for p in sys.path if os.path.isabs(p) and os.pathsep not in p and os.path.realpath(p) not in own]


def environment(folder):
    """What a job sees: none of the function's credentials and settings."""
    env = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TMPDIR": folder, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(search_path()), "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/dev/null/sbx_user1051",  # none, as a function has
    }
    if "LD_LIBRARY_PATH" in os.environ:  # /opt/lib is in it, and where the interpreter has its own libraries
        env["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return env


def run(folder, args, limit):
    """Runs the runner in a process group of its own, which ends with it or after limit seconds. Returns its stdout and a result."""
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-S", "-B", "-c", RUNNER] + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               cwd=folder, env=environment(folder), start_new_session=True)
    with Output(process.stdout, process.stderr) as output:
        ended = wait(process.pid, output, start + limit)
        try:
            os.killpg(process.pid, signal.SIGKILL)  # what it left running, before its number is free for others
        except OSError:
            pass
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.drain(DRAIN_SECONDS)
        detail = ""
        if not ended:
            detail = "did not end within %s" % span(limit)
        elif process.returncode:
            detail = last_lines(output.text(process.stderr)) or how(process.returncode)
        detail = detail.replace(folder, "/tmp")[-DETAIL_CHARS:]
        return output.text(process.stdout), {"ok": ended and not process.returncode, "detail": detail, "seconds": seconds, "peakBytes": usage.ru_maxrss * 1024}


def wait(pid, output, deadline):
    """Reads output until the process ends; False when the deadline comes first. The process is left to be collected."""
    pause = 0.001
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        if output.read(min(pause, left)):
            pause = 0.001
        else:
            pause = min(pause * 2, 0.05)
    return True


class Output:
    """The last part of what comes out of pipes."""

    def __init__(self, *pipes):
        self.pipes = pipes
        self.tails = {p: bytearray() for p in pipes}
        self.open = selectors.DefaultSelector()
        for p in pipes:
            os.set_blocking(p.fileno(), False)
            self.open.register(p, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open.close()
        for p in self.pipes:
            p.close()

    def read(self, seconds):
        """Waits so long for output and takes it; False when none came."""
        if not self.open.get_map():
            time.sleep(seconds)
            return False
        came = False
        for key, _ in self.open.select(seconds):
            try:
                chunk = os.read(key.fd, 1 << 16)
            except BlockingIOError:
                continue
            if not chunk:
                self.open.unregister(key.fileobj)
                continue
            came = True
            tail = self.tails[key.fileobj]
            tail += chunk
            del tail[:-OUTPUT_BYTES]
        return came

    def drain(self, seconds):
        """Takes what is still in the pipes."""
        deadline = time.monotonic() + seconds
        while self.open.get_map() and time.monotonic() < deadline:
            self.read(0.05)

    def text(self, pipe):
        return self.tails[pipe].decode("utf-8", "replace")


def last_lines(text):
    return "\n".join(text.strip().split("\n")[-DETAIL_LINES:]).strip()


def how(code):
    if code > 0:
        return "exit status %d" % code
    return "signal: %s" % (signal.strsignal(-code) or str(-code)).lower()


def span(seconds):
    minutes, seconds = divmod(seconds, 60)
    return ("%dm" % minutes if minutes else "") + "%gs" % seconds
