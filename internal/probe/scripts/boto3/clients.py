"""boto3 builds clients, calls them against stubbed answers, pages through results and waits."""
# versions: >=1.35
import importlib.metadata

import boto3
from botocore.exceptions import ClientError, ParamValidationError
from botocore.stub import ANY, Stubber


def check(ok, what):
    if not ok:
        raise SystemExit("boto3 clients: " + what)


check(importlib.metadata.version("boto3") == boto3.__version__, "metadata and module disagree on the version")
session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret", region_name="eu-west-1")
offered = session.get_available_services()
calls = {
    "s3": ("list_buckets", {}, {"Buckets": [{"Name": "b"}]}),
    "dynamodb": ("get_item", {"TableName": "t", "Key": {"k": {"S": "1"}}}, {"Item": {"k": {"S": "1"}}}),
    "lambda": ("get_function_configuration", {"FunctionName": "f"}, {"FunctionName": "f", "Timeout": 3}),
    "sqs": ("send_message", {"QueueUrl": "https://q", "MessageBody": "m"}, {"MessageId": "1", "MD5OfMessageBody": "6f8f57715090da2632453988d9a1501b"}),
    "sts": ("get_caller_identity", {}, {"Account": "123456789012"}),
    "stepfunctions": ("start_execution", {"stateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:m"}, {"executionArn": "arn:x", "startDate": 0}),
    "cloudwatch": ("put_metric_data", {"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1.0}]}, {}),
}
for name, (method, request, answer) in calls.items():
    if name not in offered:
        print("skipped: " + name + " (the layer does not carry it)")
        continue
    client = session.client(name)
    with Stubber(client) as stub:
        stub.add_response(method, answer, request)
        stub.add_client_error(method, "AccessDenied", "no")
        got = getattr(client, method)(**request)
        check(all(got[k] == answer[k] for k in answer), name)
        try:
            getattr(client, method)(**request)
            raise SystemExit("boto3 clients: " + name + " hides an error")
        except ClientError as e:
            check(e.response["Error"]["Code"] == "AccessDenied", name + " error code")
    check(client.meta.endpoint_url.startswith("https://") and len(dir(client)) > 20, name + " endpoint")
if "s3" in offered:
    s3 = session.client("s3")
    with Stubber(s3) as stub:
        stub.add_response("list_objects_v2", {"IsTruncated": True, "NextContinuationToken": "n", "Contents": [{"Key": "a"}]}, {"Bucket": "b"})
        stub.add_response("list_objects_v2", {"IsTruncated": False, "Contents": [{"Key": "c"}]}, {"Bucket": "b", "ContinuationToken": "n"})
        keys = [o["Key"] for o in s3.get_paginator("list_objects_v2").paginate(Bucket="b").search("Contents[]")]
        check(keys == ["a", "c"], "paginator")
        stub.add_response("head_object", {"ContentLength": 1, "ResponseMetadata": {"HTTPStatusCode": 200}}, {"Bucket": "b", "Key": ANY})
        s3.get_waiter("object_exists").wait(Bucket="b", Key="k")
    check("Signature=" in s3.generate_presigned_url("get_object", {"Bucket": "b", "Key": "k"}), "presigned URL")
if "lambda" in offered:
    client = session.client("lambda")
    check({"function_active_v2", "function_updated_v2"} <= set(client.waiter_names) and client.can_paginate("list_layers"), "waiters")
    try:
        client.invoke(FunctionName=3)
        raise SystemExit("boto3 clients: a wrong parameter is accepted")
    except ParamValidationError:
        pass
