"""The Python runtime of an emulated function: what AWS's own runtime client does between the Runtime API and a handler.

Runs on the interpreter of the function's runtime, as /var/runtime/runtime.py, with nothing but the standard library. Import order, error types and the shape of an
error are those of the real client: a test that reads them here reads them on AWS.
"""

import http.client
import importlib
import json
import os
import sys
import time
import traceback

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
ROOT = "/2018-06-01/runtime/"


def call(method, path, document=None, kind=None):
    connection = http.client.HTTPConnection(API)
    body = None if document is None else json.dumps(document)
    connection.request(method, ROOT + path, body, {"Lambda-Runtime-Function-Error-Type": kind} if kind else {})
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def failure(error, kind, message, request_id=""):
    trace = traceback.extract_tb(error.__traceback__)[1:]  # without our own frame
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": traceback.format_list(trace)}


class Context:
    """What a handler gets as its second argument."""

    def __init__(self, headers):
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
        self.identity = self.client_context = None
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))


def handler():
    """The function's handler; an exception of its module's import, with the type that AWS reports."""
    module, _, name = os.environ["_HANDLER"].replace("/", ".").rpartition(".")
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        return None, failure(error, "Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module, error))
    except SyntaxError as error:
        return None, failure(error, "Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module, error))
    except Exception as error:
        return None, failure(error, type(error).__name__, str(error))
    try:
        return getattr(loaded, name), None
    except AttributeError as error:
        return None, failure(error, "Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (name, module))


def main():
    version = "python%d.%d" % sys.version_info[:2]
    sys.path[:0] = [os.environ["LAMBDA_TASK_ROOT"], "/opt/python/lib/%s/site-packages" % version, "/opt/python"]
    run, broken = handler()
    if broken:
        print("[ERROR] %(errorType)s: %(errorMessage)s" % broken, "".join(broken["stackTrace"]), sep="\n", flush=True)
        call("POST", "init/error", broken, broken["errorType"])
        sys.exit(1)
    while True:
        status, headers, event = call("GET", "invocation/next")
        if status != 200:
            sys.exit(1)  # the environment has been stopped
        context = Context(headers)
        path = "invocation/%s/" % context.aws_request_id
        trace = headers.get("Lambda-Runtime-Trace-Id")
        if trace:
            os.environ["_X_AMZN_TRACE_ID"] = trace
        try:
            result = run(json.loads(event), context)
            answer = (path + "response", result, None)
            json.dumps(result)
        except TypeError as error:
            kind = "Runtime.MarshalError" if "not JSON serializable" in str(error) else "TypeError"
            answer = (path + "error", failure(error, kind, str(error), context.aws_request_id), kind)
        except Exception as error:
            kind = type(error).__name__
            answer = (path + "error", failure(error, kind, str(error), context.aws_request_id), kind)
        sys.stdout.flush()
        if answer[2]:
            print("[ERROR] %(errorType)s: %(errorMessage)s" % answer[1], "".join(answer[1]["stackTrace"]), sep="\n", flush=True)
        call("POST", *answer)


main()
