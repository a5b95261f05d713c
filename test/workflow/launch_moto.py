"""moto's Step Functions as a process, for the tests in this folder.

It listens on a free port of 127.0.0.1, prints "port N", and ends with its standard input, so that a killed test does not leave it behind.
Tasks call http://localhost:$MOTO_PORT, where the test answers as Lambda and CodeBuild. This file changes four things of moto:

- It adds codebuild:startBuild.sync: StartBuild, then BatchGetBuilds until the build ends. The result has AWS's field names.
- A failed Invoke call has AWS's error name, Lambda.<code>. In moto it is always "Exception".
- A States.* error that leaves a Map keeps its name. In moto it is always States.Runtime.
- A definition is parsed once, and the client of a service is created once. moto does both for every execution and task, which takes longer than executing them.
"""

import copy
import functools
import json
import os
import sys
import threading

from botocore.exceptions import ClientError
from werkzeug.serving import make_server

from moto.core.config import default_user_config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.stepfunctions.parser import api
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import iteration_worker
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils, state_task_factory, state_task_lambda
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import resource, state_task_service_callback
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import boto_client


client_for = functools.lru_cache(maxsize=None)(lambda region, service: boto_client.boto_client_for(region=region, service=service))
lambda_eval_utils.boto_client_for = lambda region, service, state_credentials=None: client_for(region, service)


def recased(value, first):
    """The value with the first letter of every key changed, and types that JSON does not have as text."""
    if isinstance(value, dict):
        return {first(k[:1]) + k[1:]: recased(v, first) for k, v in value.items()}
    if isinstance(value, list):
        return [recased(v, first) for v in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def name_of(error_name):
    for known in StatesErrorNameType:
        if known.to_name() == error_name:
            return StatesErrorName(typ=known)
    return CustomErrorName(error_name=error_name)


class CodeBuild(state_task_service_callback.StateTaskServiceCallback):
    def __init__(self):
        super().__init__(supported_integration_patterns={resource.ResourceCondition.Sync, resource.ResourceCondition.WaitForTaskToken})

    def _get_supported_parameters(self):
        return {"ProjectName", "EnvironmentVariablesOverride"}

    def _eval_service_task(self, env, resource_runtime_part, normalised_parameters, state_credentials):
        started = client_for(resource_runtime_part.region, "codebuild").start_build(**recased(normalised_parameters, str.lower))
        env.stack.append({"Build": recased(started["build"], str.upper)})

    def _build_sync_resolver(self, env, resource_runtime_part, normalised_parameters, state_credentials):
        build_id = env.stack.pop()["Build"]["Id"]
        client = client_for(resource_runtime_part.region, "codebuild")

        def resolve():
            build = client.batch_get_builds(ids=[build_id])["builds"][0]
            if build["buildStatus"] == "IN_PROGRESS":
                return None
            result = {"Build": recased(build, str.upper)}
            if build["buildStatus"] == "SUCCEEDED":
                return result
            raise FailureEventException(self.failure(env, "States.TaskFailed", json.dumps(result)))

        return resolve

    def _normalise_parameters(self, parameters, boto_service_name=None, service_action_name=None):
        """Keeps the parameters as they are in the definition: their PascalCase is part of the test."""

    def _from_error(self, env, ex):
        if not isinstance(ex, ClientError):
            return super()._from_error(env, ex)
        return self.failure(env, "CodeBuild." + ex.response["Error"]["Code"], ex.response["Error"]["Message"])

    def failure(self, env, error, cause):
        details = api.TaskFailedEventDetails(
            resource=self._get_sfn_resource(), resourceType=self._get_sfn_resource_type(), error=error, cause=cause
        )
        event_details = EventDetails(taskFailedEventDetails=details)
        return FailureEvent(env=env, error_name=name_of(error), event_type=api.HistoryEventType.TaskFailed, event_details=event_details)


state_task_service_callback._DELAY_SECONDS_SYNC_CONDITION_CHECK = 0.05
service_for = state_task_factory.state_task_service_for
state_task_factory.state_task_service_for = lambda service_name: CodeBuild() if service_name == "codebuild" else service_for(service_name)

lambda_error = state_task_lambda.StateTaskLambda._from_error


def named_lambda_error(self, env, ex):
    if not isinstance(ex, ClientError):
        return lambda_error(self, env, ex)
    name = "Lambda." + ex.response["Error"]["Code"]
    details = api.LambdaFunctionFailedEventDetails(error=name, cause=ex.response["Error"]["Message"])
    event_details = EventDetails(lambdaFunctionFailedEventDetails=details)
    return FailureEvent(env=env, error_name=name_of(name), event_type=api.HistoryEventType.LambdaFunctionFailed, event_details=event_details)


state_task_lambda.StateTaskLambda._from_error = named_lambda_error

iteration_worker.CustomErrorName = name_of

parse_once = functools.lru_cache(maxsize=None)(AmazonStateLanguageParser.parse)
parsing = threading.Lock()


def parse(definition):
    with parsing:
        program, tree = parse_once(definition)
        return copy.deepcopy(program), tree


AmazonStateLanguageParser.parse = staticmethod(parse)

default_user_config["stepfunctions"]["execute_state_machine"] = True
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=MotoRequestHandler)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print("port", server.server_port, flush=True)
server.serve_forever()
