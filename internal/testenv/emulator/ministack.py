"""Starts MiniStack as a closer stand-in for AWS: CodeBuild that runs, functions in a sandbox like Lambda's, and an API as strict as the real one.

Each hook says what MiniStack 1.5.33 does without it. It is started by the Go package beside it (which see for the environment) and ends with its standard input:
whoever starts it and dies takes it, its functions and its builds along. Run it with -I, or `import ministack` finds this file.
"""

import concurrent.futures
import contextvars
import functools
import io
import json
import math
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import types
import zipfile

import yaml
from ministack.core import lambda_runtime
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, new_uuid
from ministack.services import codebuild, eventbridge, lambda_svc, s3, stepfunctions

FOLDER = os.getcwd()  # the stack's own: logs of builds lie here

# ---------------------------------------------------------------------------
# Sandboxes
# ---------------------------------------------------------------------------

# A namespace of processes of their own makes one kill end all that a function or a build has started. Containers may forbid a new /proc; then the host's will do.
_own_proc = ["--unshare-pid", "--proc", "/proc"]
if subprocess.run(["bwrap", "--ro-bind", "/", "/", *_own_proc, "--", "/bin/true"], capture_output=True).returncode:
    _own_proc = ["--dev-bind", "/proc", "/proc"]


def function_sandbox(code, opt, tmp, extra=()):
    """The bwrap command for a Lambda function: its code, its layers, a private /tmp, the system's libraries; nothing else is there, only /tmp can be written."""
    command = ["bwrap", "--die-with-parent"]
    for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc"):
        path = "/" + name
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            command += ["--ro-bind", path, path]
    command += ["--dev", "/dev", *_own_proc, "--bind", tmp, "/tmp", *extra]
    return command + ["--ro-bind", opt, "/opt", "--ro-bind", code, "/var/task", "--chdir", "/var/task", "--"]


def unzip(data, folder):
    """Unpacks with modes and symbolic links, both of which zipfile drops and AWS keeps."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                target = os.path.join(folder, info.filename)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.symlink(archive.read(info), os.fsencode(target))
                continue
            target = archive.extract(info, folder)
            if mode & 0o7777:
                os.chmod(target, mode & 0o7777)


@functools.lru_cache(maxsize=None)
def interpreter(runtime):
    """The interpreter of LAYERSMITH_PYTHON_3_13 for python3.13: its path and the bwrap arguments that show it, without packages beside the standard library."""
    variable = "LAYERSMITH_" + runtime.upper().replace("PYTHON", "PYTHON_").replace(".", "_")
    path = os.environ.get(variable)
    if not path:
        raise lambda_runtime.ProvidedRuntimeError("%s: no interpreter, set %s to the path of one" % (runtime, variable), "Runtime.InvalidEntrypoint")
    asked = "import json, site, sys; print(json.dumps([sys.executable, sys.version_info[:2], sys.base_prefix, site.getsitepackages()]))"
    path, version, prefix, packages = json.loads(subprocess.check_output([path, "-I", "-c", asked], text=True))
    if runtime != "python%d.%d" % tuple(version):
        raise lambda_runtime.ProvidedRuntimeError("%s is not a %s" % (path, runtime), "Runtime.InvalidEntrypoint")
    shown = []
    for folder in dict.fromkeys((prefix, os.path.realpath(prefix), os.path.dirname(os.path.dirname(path)))):
        shown += ["--ro-bind", folder, folder]
    for folder in packages:  # a layer must carry what it needs: pip and what else this machine has installed is not there on AWS
        if os.path.isdir(folder):
            shown += ["--tmpfs", folder]
    return path, shown


# ---------------------------------------------------------------------------
# Lambda: execution environments
# ---------------------------------------------------------------------------

_layers_lock = threading.Lock()
_layers_folders = {}


def layers_folder(config):
    """The folder that a function sees as /opt: its layers one over the other, the later wins, unpacked once for each list."""
    layers = config.get("Layers") or []
    key = tuple(layer["Arn"] for layer in layers)
    with _layers_lock:
        if key not in _layers_folders:
            folder = tempfile.mkdtemp(prefix="opt-")
            for layer in layers:
                data = lambda_svc._resolve_layer_zip(layer)
                if data is None:
                    raise lambda_runtime.ProvidedRuntimeError("%s has no content" % layer["Arn"], "Runtime.Unknown")
                unzip(data, folder)
            _layers_folders[key] = folder
        return _layers_folders[key]


# The environment that is being started on this thread: MiniStack's own _spawn is kept and asks these hooks for its parts.
_starting = contextvars.ContextVar("starting", default=None)

# What Lambda itself puts into a function's environment; everything else that MiniStack hands over is its own and stays out.
_LAMBDA_VARIABLES = (
    "AWS_LAMBDA_RUNTIME_API AWS_REGION AWS_DEFAULT_REGION AWS_LAMBDA_FUNCTION_NAME AWS_LAMBDA_FUNCTION_MEMORY_SIZE AWS_LAMBDA_FUNCTION_VERSION "
    "AWS_LAMBDA_LOG_STREAM_NAME AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN _HANDLER"
).split()


class Environment(lambda_runtime.ProvidedWorker):
    """An execution environment of provided.* or python3.x: a process in a sandbox that speaks the Runtime API.

    MiniStack alone gives provided.* no /opt, runs Python on its own interpreter with layers before the function's code and every error as Runtime.HandlerError,
    passes its whole environment on, lets functions write anywhere, and puts no START, END and REPORT lines into the log tail.
    """

    def __init__(self, func_name, config, code_zip):
        super().__init__(func_name, config, code_zip)
        self.python = config["Runtime"].startswith("python")
        self.tmp = self.code = None
        self.init_seconds = self.spawn_seconds = 0.0
        self.started = self.answered = 0.0

    def _spawn(self, init_timeout=None):
        began = time.monotonic()
        if self.tmp is None:
            self.tmp = tempfile.mkdtemp(prefix="tmp-")
        token = _starting.set(self)
        try:
            super()._spawn(init_timeout)
        finally:
            _starting.reset(token)
            self.spawn_seconds += time.monotonic() - began

    def _await_init(self, init_timeout=None):
        try:
            super()._await_init(init_timeout)
        except lambda_runtime.ProvidedInitTimeout:
            raise
        except RuntimeError as error:  # MiniStack answers Runtime.Unknown
            kind = "Runtime.ExitError"
            if isinstance(self._init_error, dict):
                error, kind = self._init_error.get("errorMessage", error), self._init_error.get("errorType", kind)
            raise lambda_runtime.ProvidedRuntimeError(str(error), kind) from None
        finally:
            self.init_seconds += time.monotonic() - self.started

    def folder(self, code_zip):
        """Unpacks the code; where MiniStack looks for an executable `bootstrap`, Python's is found in a folder of ours."""
        self.code = _code_dir(code_zip)
        if self.python:
            interpreter(self.config["Runtime"])
            return _python_bootstrap()
        with zipfile.ZipFile(io.BytesIO(code_zip)) as archive:
            modes = [info.external_attr >> 16 & 0o777 for info in archive.infolist() if info.filename == "bootstrap"]
        if modes and modes[0] and not modes[0] & 0o111:  # MiniStack makes it executable
            raise lambda_runtime.ProvidedRuntimeError("fork/exec /var/task/bootstrap: permission denied", "Runtime.InvalidEntrypoint")
        return self.code

    def variables(self, given):
        variables = {name: given[name] for name in _LAMBDA_VARIABLES if name in given}
        variables.update(
            AWS_EXECUTION_ENV="AWS_Lambda_" + self.config["Runtime"],
            AWS_LAMBDA_INITIALIZATION_TYPE="on-demand",
            AWS_LAMBDA_LOG_GROUP_NAME=(self.config.get("LoggingConfig") or {}).get("LogGroup") or "/aws/lambda/" + self.config["FunctionName"],
            LAMBDA_TASK_ROOT="/var/task",
            LAMBDA_RUNTIME_DIR="/var/runtime",
            LANG="en_US.UTF-8",
            PATH="/usr/local/bin:/usr/bin:/bin:/opt/bin",
            TZ=":UTC",
        )
        variables.update(lambda_svc._runtime_env_vars(self.config))
        variables["AWS_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"]  # Lambda has none: it is what makes the SDK talk to this emulator
        variables.setdefault(lambda_runtime.HOST_PREFIX_ENV, "true")
        return variables

    def command(self):
        extra, run = [], ["/var/task/bootstrap"]
        if self.python:
            path, extra = interpreter(self.config["Runtime"])
            extra = [*extra, "--ro-bind", os.path.join(os.path.dirname(os.path.abspath(__file__)), "runtime.py"), "/var/runtime/runtime.py"]
            run = [path, "/var/runtime/runtime.py"]
        libraries = ["--setenv", "LD_LIBRARY_PATH", "/var/task:/var/task/lib:/opt/lib"]
        return function_sandbox(self.code, layers_folder(self.config), self.tmp, [*extra, *libraries]) + run

    def invoke(self, event, request_id, **values):
        self.init_seconds = self.spawn_seconds = self.answered = 0.0
        began = time.monotonic()
        try:
            result = super().invoke(event, request_id, **values)
        except lambda_runtime.ProvidedRuntimeError as error:
            payload = self._init_error if isinstance(self._init_error, dict) else {"errorMessage": str(error), "errorType": error.error_type}
            result = {"status": "error", "error": str(error), "error_payload": payload, "log": self._drain_stderr()}
        duration = max(0.0, (self.answered or time.monotonic()) - began - self.spawn_seconds) * 1000
        result["log"] = self.lines(result.get("log", ""), request_id, duration, self.init_seconds * 1000)
        return result

    def _drain_stderr_bounded(self, **waits):
        self.answered = self.answered or time.monotonic()  # waiting for late lines of the log is not the function's
        return super()._drain_stderr_bounded(**waits)

    def lines(self, log, request_id, duration, init):
        report = ["Duration: %.2f ms" % duration, "Billed Duration: %d ms" % math.ceil(duration + init), "Memory Size: %s MB" % self.config.get("MemorySize", 128)]
        report.append("Max Memory Used: %d MB" % peak_memory_mib(self._proc))
        if init:
            report.append("Init Duration: %.2f ms" % init)
        return "START RequestId: %s Version: %s\n%sEND RequestId: %s\nREPORT RequestId: %s\t%s\t" % (
            request_id, self.config.get("Version", "$LATEST"), log and log + "\n", request_id, request_id, "\t".join(report))

    def _discard_tmpdir(self):
        super()._discard_tmpdir()
        if self.tmp:
            shutil.rmtree(self.tmp, ignore_errors=True)


def peak_memory_mib(process):
    """The most that a function's processes have had resident; 0 when it is gone. MiniStack gives the largest of all children it ever had."""
    total, pids = 0, [process.pid] if process else []
    while pids:
        pid = pids.pop()
        try:
            with open("/proc/%d/status" % pid) as status:
                lines = status.read().splitlines()
            with open("/proc/%d/task/%d/children" % (pid, pid)) as children:
                pids += map(int, children.read().split())
        except OSError:
            continue
        if "Name:\tbwrap" not in lines:
            total += sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return math.ceil(total / 1024)


@functools.lru_cache(maxsize=None)
def _python_bootstrap():
    folder = tempfile.mkdtemp(prefix="bootstrap-")
    with open(os.path.join(folder, "bootstrap"), "w", opener=lambda path, flags: os.open(path, flags, 0o755)):
        return folder


def code_dir(code_zip):
    environment = _starting.get()
    return environment.folder(code_zip) if environment else _code_dir(code_zip)


def worker_env(config, folder, port):
    environment = _starting.get()
    given = _worker_env(config, folder, port)
    return environment.variables(given) if environment else given


# bwrap's --die-with-parent means the thread that has started it; MiniStack has one for each invocation.
_spawner = concurrent.futures.ThreadPoolExecutor(max_workers=1)


def popen(command, *args, cwd=None, **kwargs):
    environment = _starting.get()
    if environment is None:
        return subprocess.Popen(command, *args, cwd=cwd, **kwargs)
    command = environment.command()
    environment.started = time.monotonic()
    return _spawner.submit(subprocess.Popen, command, *args, **kwargs).result()


def worker_class(config):
    return Environment if str(config.get("Runtime", "")).startswith(("provided", "python")) else _worker_class(config)


def execute_provided(func, event, request_id):
    result = _execute_provided(func, event, request_id)
    return {**result, "log_source": "rie"}  # the log has its START, END and REPORT lines already


def execute_warm(func, event, request_id):
    config = func.get("config") or func
    return (execute_provided if config["Runtime"].startswith("python") else _execute_warm)(func, event, request_id)


_code_dir, lambda_svc._provided_runtime_code_dir = lambda_svc._provided_runtime_code_dir, code_dir
_worker_env, lambda_svc._provided_worker_env = lambda_svc._provided_worker_env, worker_env
_worker_class, lambda_runtime._worker_class_for = lambda_runtime._worker_class_for, worker_class
_execute_provided, lambda_svc._execute_function_provided_warm = lambda_svc._execute_function_provided_warm, execute_provided
_execute_warm, lambda_svc._execute_function_warm = lambda_svc._execute_function_warm, execute_warm
lambda_runtime.subprocess = types.SimpleNamespace(**{**vars(subprocess), "Popen": popen})

# ---------------------------------------------------------------------------
# Lambda: an API as strict as the real one. Each of these lets a faulty client pass, or a faithful one fail.
# ---------------------------------------------------------------------------

MAX_LAYERS = 5

# True while a client's own request is served: CloudFormation calls the same operations, at moments when a client would be told to wait.
_from_client = contextvars.ContextVar("from_client", default=False)


async def lambda_request(*args, **kwargs):
    _from_client.set(True)
    return await _lambda_request(*args, **kwargs)


def conflict(name):
    """While a function is created or updated, AWS refuses to change or publish it. MiniStack does not."""
    config = (lambda_svc._functions.get(name) or {}).get("config") or {}
    if not _from_client.get() or "InProgress" != config.get("LastUpdateStatus") and "Pending" != config.get("State"):
        return None
    message = "The operation cannot be performed at this time. An update is in progress for resource: %s" % config["FunctionArn"]
    return error_response_json("ResourceConflictException", message, 409)


def too_many_layers(data):
    if len(data.get("Layers") or []) > MAX_LAYERS:
        return error_response_json("InvalidParameterValueException", "Function can only use up to %d layers." % MAX_LAYERS, 400)
    return None


def create_function(data):
    return too_many_layers(data) or _create_function(data)


def update_config(name, data):
    return conflict(name) or too_many_layers(data) or _update_config(name, data)


def update_code(name, data):
    return conflict(name) or _update_code(name, data)


def publish_version(name, data):
    """RevisionId and CodeSha256 are preconditions. MiniStack ignores both."""
    config = (lambda_svc._functions.get(name) or {}).get("config")
    if config:
        sha = data.get("CodeSha256")
        if sha and sha != config.get("CodeSha256"):
            message = "CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST" % sha
            return error_response_json("InvalidParameterValueException", message, 400)
        refusal = conflict(name) or lambda_svc._check_revision(config, data)
        if refusal:
            return refusal
    return _publish_version(name, data)


def publish_layer(name, data):
    """An object or version that is not there is an error. MiniStack publishes an empty layer."""
    content = data.get("Content") or {}
    if "S3Bucket" in content:
        if lambda_svc._fetch_code_from_s3(content["S3Bucket"], content["S3Key"], version_id=content.get("S3ObjectVersion")) is None:
            code = "NoSuchVersion" if content.get("S3ObjectVersion") else "NoSuchKey"
            message = "Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: The specified object does not exist." % code
            return error_response_json("InvalidParameterValueException", message, 400)
    return _publish_layer(name, data)


async def invoke(name, *args, **kwargs):
    """A function that is still being created cannot be invoked. MiniStack runs it."""
    config = (lambda_svc._functions.get(name) or {}).get("config") or {}
    if _from_client.get() and config.get("State") == "Pending" and config.get("StateReasonCode") == "Creating":
        message = "The operation cannot be performed at this time. The function is currently in the following state: Pending"
        return error_response_json("ResourceConflictException", message, 409)
    return await _invoke(name, *args, **kwargs)


def missing_version(name, data):
    """An alias points to a version that there is. MiniStack takes any."""
    version, func = data.get("FunctionVersion"), lambda_svc._functions.get(name)
    if func and version not in (None, "$LATEST", *func["versions"]):
        return error_response_json("ResourceNotFoundException", "Function not found: %s:%s" % (func["config"]["FunctionArn"], version), 404)
    return None


def create_alias(name, data):
    return missing_version(name, data) or _create_alias(name, data)


def update_alias(name, alias, data):
    return missing_version(name, data) or _update_alias(name, alias, data)


def list_functions(query):
    """With FunctionVersion=ALL, each function and each of its published versions, at most 50 on a page. MiniStack leaves the versions out."""
    if lambda_svc._qp_first(query, "FunctionVersion") != "ALL":
        return _list_functions(query)
    configs = []
    for func in lambda_svc._functions.values():
        configs.append({**func["config"], "FunctionArn": func["config"]["FunctionArn"] + ":$LATEST"})
        configs += [version["config"] for version in func["versions"].values()]
    first = int(lambda_svc._qp_first(query, "Marker") or 0)
    after = first + min(int(lambda_svc._qp_first(query, "MaxItems") or 50), 50)
    return json_response({"Functions": configs[first:after], **({"NextMarker": str(after)} if after < len(configs) else {})})


def settle(name, delay):
    """A function has another RevisionId once an update is through than the one that the update returned. MiniStack keeps that one, so that a client which does not
    read the function again works here and fails on AWS."""

    def change():
        time.sleep(delay / 2)  # before MiniStack says that the update is through
        func = lambda_svc._functions.get(name)
        if func:
            before, func["config"]["RevisionId"] = func["config"]["RevisionId"], new_uuid()
            for version in func["versions"].values():
                if version.get("function_revision") == before:
                    version["function_revision"] = func["config"]["RevisionId"]

    threading.Thread(target=contextvars.copy_context().run, args=(change,), daemon=True).start()
    _settle(name, delay)


_lambda_request, lambda_svc.handle_request = lambda_svc.handle_request, lambda_request
_create_function, lambda_svc._create_function = lambda_svc._create_function, create_function
_update_config, lambda_svc._update_config = lambda_svc._update_config, update_config
_update_code, lambda_svc._update_code = lambda_svc._update_code, update_code
_publish_version, lambda_svc._publish_version = lambda_svc._publish_version, publish_version
_publish_layer, lambda_svc._publish_layer_version = lambda_svc._publish_layer_version, publish_layer
_invoke, lambda_svc._invoke = lambda_svc._invoke, invoke
_create_alias, lambda_svc._create_alias = lambda_svc._create_alias, create_alias
_update_alias, lambda_svc._update_alias = lambda_svc._update_alias, update_alias
_list_functions, lambda_svc._list_functions = lambda_svc._list_functions, list_functions
_settle, lambda_svc._schedule_state_transition = lambda_svc._schedule_state_transition, settle

# ---------------------------------------------------------------------------
# CodeBuild: the project's inline buildspec runs in bash. MiniStack needs Docker for it, and has no startBuild task.
# ---------------------------------------------------------------------------

# What a build takes from this machine: programs, the user's own configuration of pip and uv, and the way to the network.
_BUILD_VARIABLES = ("PATH", "HOME", "LANG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "REQUESTS_CA_BUNDLE")
_BUILD_PREFIXES = ("PIP_", "UV_", "SSL_", "XDG_")

_overrides = contextvars.ContextVar("overrides", default=())

# Phases run in one shell, as in buildspec 0.2: variables and the working folder pass from command to command. A phase ends with the first command that fails; its
# `finally` runs even so, and post_build runs even when build has failed. Descriptor 3 tells the launcher how phases ended.
_PRELUDE = """
export CODEBUILD_BUILD_SUCCEEDING=1
run() { for command; do printf '[Container] Running command %s\\n' "$command"; eval "$command" || { status=$?; failed=$command; return $status; }; done; }
phase() { printf '[Container] Entering phase %s\\n' "$1"; echo "begin $1" >&3; }
ended() {
  if [ "$2" = 0 ]; then echo "end $1 SUCCEEDED" >&3; return 0; fi
  CODEBUILD_BUILD_SUCCEEDING=0
  echo "end $1 FAILED Error while executing command: $failed. Reason: exit status $2" | tr '\\n' ' ' >&3; echo >&3
  return "$2"
}
"""


def script(spec):
    """The buildspec as one shell script."""
    lines = [_PRELUDE]
    for name in ("install", "pre_build", "build", "post_build"):
        phase = (spec.get("phases") or {}).get(name) or {}
        unknown = set(phase) - {"commands", "finally", "runtime-versions"}
        if unknown:
            raise ValueError("buildspec: %s of phase %s is not emulated" % (", ".join(sorted(unknown)), name))
        lines += ["phase %s" % name.upper(), "result=0", "run %s || result=$?" % " ".join(map(shlex.quote, phase.get("commands") or []))]
        if phase.get("finally"):
            lines.append("run %s || result=$?" % " ".join(map(shlex.quote, phase["finally"])))
        lines.append("ended %s $result || %s" % (name.upper(), "broken=1" if name == "build" else "exit 1"))
    return "\n".join([*lines, 'exit "${broken:-0}"', ""])


def build_variables(project, build, spec, overrides, tmp, source):
    variables = {name: value for name, value in os.environ.items() if name in _BUILD_VARIABLES or name.startswith(_BUILD_PREFIXES)}
    variables.update(
        AWS_ACCESS_KEY_ID=get_account_id(), AWS_SECRET_ACCESS_KEY="test", AWS_REGION=get_region(), AWS_DEFAULT_REGION=get_region(),
        AWS_ENDPOINT_URL=os.environ["AWS_ENDPOINT_URL"], TMPDIR=tmp, TMP=tmp, TEMP=tmp,
        CODEBUILD_BUILD_ID=build["id"], CODEBUILD_BUILD_ARN=build["arn"], CODEBUILD_BUILD_NUMBER=str(build["buildNumber"]),
        CODEBUILD_INITIATOR=build["initiator"], CODEBUILD_SRC_DIR=source,
    )
    refused = set(spec.get("env") or {}) - {"variables", "shell"}
    if refused:
        raise ValueError("buildspec: env %s is not emulated" % ", ".join(sorted(refused)))
    variables.update({name: str(value) for name, value in ((spec.get("env") or {}).get("variables") or {}).items()})
    for variable in [*((project.get("environment") or {}).get("environmentVariables") or []), *overrides]:
        if variable.get("type", "PLAINTEXT") != "PLAINTEXT":
            raise ValueError("variable %s: type %s is not emulated" % (variable["name"], variable["type"]))
        variables[variable["name"]] = str(variable["value"])
    return variables


def download(project, build, folder):
    source = project.get("source") or {}
    if source.get("type") == "NO_SOURCE":
        return
    if source.get("type") != "S3":
        raise ValueError("source %s is not emulated" % source.get("type"))
    bucket, _, key = source["location"].removeprefix("arn:aws:s3:::").partition("/")
    data = s3._get_object_data(bucket, key)
    if data is None:
        raise ValueError("NoSuchKey: The specified key does not exist: s3://%s/%s" % (bucket, key))
    unzip(data, folder)


def fail_phase(build, phase, code, message):
    codebuild._record_phase(build, phase, "FAILED")
    for record in build["phases"]:
        if record["phaseType"] == phase:
            record["contexts"] = [{"statusCode": code, "message": message}]


def execute_build(build_id, project):
    """Runs a build to its end and keeps its record, its log stream and its log file up to date meanwhile."""
    build, overrides = codebuild._builds[build_id], _overrides.get()
    work = tempfile.mkdtemp(prefix="build-")
    source, tmp = os.path.join(work, "src"), os.path.join(work, "tmp")
    os.mkdir(source)
    os.mkdir(tmp)
    os.makedirs(os.path.join(FOLDER, "builds"), exist_ok=True)
    emit = codebuild._log_sink(build)
    status = "FAILED"
    try:
        for phase in ("QUEUED", "PROVISIONING"):
            codebuild._record_phase(build, phase, "SUCCEEDED")
        with open(os.path.join(FOLDER, "builds", build_id.replace(":", "-") + ".log"), "w") as log:
            try:
                download(project, build, source)
                spec = yaml.safe_load(project["source"]["buildspec"])
                variables = build_variables(project, build, spec, overrides, tmp, source)
                text = script(spec)
            except Exception as error:
                emit("[Container] %s" % error)
                log.write("%s\n" % error)
                fail_phase(build, "DOWNLOAD_SOURCE", "CLIENT_ERROR", str(error))
                return
            codebuild._record_phase(build, "DOWNLOAD_SOURCE", "SUCCEEDED")
            posix = [] if (spec.get("env") or {}).get("shell") == "bash" else ["--posix"]  # sh of Amazon Linux is bash
            status = run_script(build, text, posix, source, variables, project, lambda line: (emit(line), log.write(line + "\n"), log.flush()))
    finally:
        codebuild._clear_stopped(build_id)
        codebuild._finish_build(build, status)
        shutil.rmtree(work, ignore_errors=True)


def run_script(build, text, posix, source, variables, project, emit):
    reader, writer = os.pipe()
    # No file system of its own: what a build needs (uv, interpreters, caches) lies anywhere on this machine. The namespace ends all its processes with it.
    sandbox = ["bwrap", "--die-with-parent", "--dev-bind", "/", "/", *_own_proc, "--chdir", source, "--"]
    redirect = 'exec 3>&%d; . "$0"' % writer
    path = os.path.join(os.path.dirname(source), "script")
    with open(path, "w") as file:
        file.write(text)
    process = subprocess.Popen([*sandbox, "bash", "--noprofile", "--norc", *posix, "-c", redirect, path], env=variables, pass_fds=[writer],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    os.close(writer)

    def phases():
        with os.fdopen(reader) as reports:
            for report in reports:
                event, phase, *rest = report.rstrip().split(" ", 3)
                if event == "begin":
                    build["currentPhase"] = phase
                    build["phases"].append({"phaseType": phase, "startTime": int(time.time())})
                elif rest[0] == "SUCCEEDED":
                    codebuild._record_phase(build, phase, "SUCCEEDED")
                else:
                    fail_phase(build, phase, "COMMAND_EXECUTION_ERROR", rest[1])

    watchers = [threading.Thread(target=phases, daemon=True), threading.Thread(target=lambda: [emit(line.rstrip("\n")) for line in process.stdout], daemon=True)]
    for watcher in watchers:
        watcher.start()
    deadline, status = time.monotonic() + codebuild._timeout_seconds(project), None
    while status is None:
        try:
            status = "FAILED" if process.wait(0.1) else "SUCCEEDED"
        except subprocess.TimeoutExpired:
            if codebuild._stop_requested(build["id"]):
                status = "STOPPED"
            elif time.monotonic() > deadline:
                status = "TIMED_OUT"
    process.kill()
    for watcher in watchers:
        watcher.join(5)
    return status


def start_build(data):
    token = _overrides.set(tuple(data.get("environmentVariablesOverride") or ()))
    try:
        return _start_build(data)
    finally:
        _overrides.reset(token)


def renamed(value, first):
    """JSON with another case of the first letter of each name: Step Functions writes ProjectName where CodeBuild has projectName."""
    if isinstance(value, dict):
        return {first(key[:1]) + key[1:]: renamed(item, first) for key, item in value.items()}
    return [renamed(item, first) for item in value] if isinstance(value, list) else value


def start_build_task(resource, parameters):
    """The task states:::codebuild:startBuild(.sync). A failed build is States.TaskFailed, and its Cause the JSON of the build, as on AWS."""
    unknown = set(parameters) - {"ProjectName", "EnvironmentVariablesOverride"}
    if unknown:
        raise stepfunctions._ExecutionError("States.Runtime", "codebuild:startBuild: %s is not emulated" % ", ".join(sorted(unknown)))
    status, _, body = start_build(renamed(parameters, str.lower))
    answer = json.loads(body)
    if status != 200:
        raise stepfunctions._ExecutionError("CodeBuild." + answer["__type"].split("#")[-1], answer.get("message", ""))
    build = codebuild._builds[answer["build"]["id"]]
    if ".sync" in resource:
        while build["currentPhase"] != "COMPLETED":
            time.sleep(0.05)
    result = {"Build": {**renamed(build, str.upper), "BuildComplete": build["currentPhase"] == "COMPLETED"}}
    if ".sync" in resource and build["buildStatus"] != "SUCCEEDED":
        raise stepfunctions._ExecutionError("States.TaskFailed", json.dumps(result))
    return result


codebuild.EXECUTE_BUILDS = True
codebuild._execute_build = execute_build
_start_build, codebuild._start_build = codebuild._start_build, start_build
stepfunctions._SERVICE_DISPATCH["arn:aws:states:::codebuild:startBuild"] = start_build_task

# ---------------------------------------------------------------------------
# Step Functions and events
# ---------------------------------------------------------------------------


def start_execution(data):
    """The same name with the same input while it runs gives the running execution. MiniStack answers ExecutionAlreadyExists."""
    machine = data.get("stateMachineArn", "").replace(":stateMachine:", ":execution:")
    running = stepfunctions._executions.get("%s:%s" % (machine, data.get("name")))
    if running and running["status"] == "RUNNING" and running["input"] == data.get("input", "{}"):
        return json_response({"executionArn": running["executionArn"], "startDate": running["startDate"]})
    return _start_execution(data)


_version_id = contextvars.ContextVar("version_id", default=None)


def fire_s3_event(*args, version_id=None, **kwargs):
    token = _version_id.set(version_id)
    try:
        return _fire_s3_event(*args, version_id=version_id, **kwargs)
    finally:
        _version_id.reset(token)


def dispatch_event(event, view=None):
    """Events of versioned buckets name the version. MiniStack leaves version-id out."""
    if event.get("Source") == "aws.s3" and _version_id.get():
        detail = json.loads(event["Detail"])
        detail["object"]["version-id"] = _version_id.get()
        event["Detail"] = json.dumps(detail)
    return _dispatch_event(event, view)


_start_execution, stepfunctions._start_execution = stepfunctions._start_execution, start_execution
_fire_s3_event, s3._fire_s3_event = s3._fire_s3_event, fire_s3_event
_dispatch_event, eventbridge._dispatch_event = eventbridge._dispatch_event, dispatch_event

# ---------------------------------------------------------------------------


def end_with_input():
    """Ends this process and all that it has started when standard input ends: its writer is the test, whatever became of it."""
    while sys.stdin.buffer.read(4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    os.setpgid(0, 0)
    threading.Thread(target=end_with_input, daemon=True).start()
    from ministack.app import main

    main()
