"""Powertools' logger, metrics, event handler, batch processor and data classes work in a handler."""
import importlib.metadata
import io
import json
import os

os.environ.update(POWERTOOLS_SERVICE_NAME="svc", POWERTOOLS_METRICS_NAMESPACE="ns", POWERTOOLS_TRACE_DISABLED="true", AWS_LAMBDA_FUNCTION_NAME="f")
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes import S3Event, SQSEvent
from aws_lambda_powertools.utilities.jmespath_utils import query


def check(ok, what):
    if not ok:
        raise SystemExit("powertools: " + what)


check(importlib.metadata.version("aws-lambda-powertools")[0].isdigit(), "no metadata")
stream = io.StringIO()
logger = Logger(stream=stream, level="INFO")
logger.append_keys(order="1")
logger.info({"text": "hello"})
line = json.loads(stream.getvalue())
check(line["service"] == "svc" and line["order"] == "1" and line["message"] == {"text": "hello"}, "logger")
metrics = Metrics()
metrics.add_dimension(name="d", value="v")
metrics.add_metric(name="done", unit=MetricUnit.Count, value=1)
emf = metrics.serialize_metric_set()
check(emf["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "ns" and emf["done"] == [1.0], "metrics")
metrics.clear_metrics()
app = APIGatewayRestResolver()


@app.get("/items/<name>")
def item(name):
    return {"name": name}


event = {"httpMethod": "GET", "path": "/items/x", "headers": {}, "queryStringParameters": None, "requestContext": {}, "body": None}
answer = app.resolve(event, None)
check(answer["statusCode"] == 200 and json.loads(answer["body"]) == {"name": "x"} and app.resolve(dict(event, path="/no"), None)["statusCode"] == 404, "event handler")


def work(record):
    if record.body == "bad":
        raise ValueError("bad")


records = {"Records": [{"messageId": str(n), "body": body, "eventSource": "aws:sqs"} for n, body in enumerate(["ok", "bad"])]}
left = process_partial_response(event=records, record_handler=work, processor=BatchProcessor(event_type=EventType.SQS), context=None)
check(left == {"batchItemFailures": [{"itemIdentifier": "1"}]}, "batch")
check([r.body for r in SQSEvent(records).records] == ["ok", "bad"] and query(data={"b": '{"a": 1}'}, envelope="powertools_json(b).a") == 1, "data classes or jmespath")
check(S3Event({"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "a+b"}}}]}).object_key == "a b", "S3Event")
