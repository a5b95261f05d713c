"""Every service model that botocore offers loads whole, with its rule set; a client is built for a sample of them."""
# versions: >=1.35
import importlib.metadata
import os

import botocore
import botocore.session


def check(ok, what):
    if not ok:
        raise SystemExit("botocore services: " + what)


check(importlib.metadata.version("botocore") == botocore.__version__, "metadata and module disagree on the version")
session = botocore.session.Session()
session.set_credentials("AKIDEXAMPLE", "secret")
loader = session.get_component("data_loader")
offered = session.get_available_services()
check(len(offered) > 0, "no service at all")
for name in offered:  # read by the loader's own reader: the loader itself would keep all of them in memory
    version = loader.determine_latest_version(name, "service-2")
    found = [loader.file_loader.load_file(os.path.join(root, name, version, "service-2")) for root in loader.search_paths]
    model = next(m for m in found if m is not None)
    check(model["metadata"].get("endpointPrefix") and model["operations"] and model["shapes"], name + " has an empty model")
    check(loader.determine_latest_version(name, "endpoint-rule-set-1"), name + " has no rule set")
known = ["s3", "dynamodb", "lambda", "sqs", "sns", "sts", "ec2", "iam", "stepfunctions", "cloudwatch", "logs", "secretsmanager", "ssm", "kms", "events"]
for name in known:
    if name not in offered:
        print("skipped: " + name + " (the layer does not carry it)")
sample = [n for n in known if n in offered] + offered[:: max(1, len(offered) // 10)]
for name in sample:
    client = session.create_client(name, region_name="us-east-1")
    check(client.meta.service_model.operation_names and client.meta.endpoint_url.startswith("https://"), name)
    for operation in client.meta.service_model.operation_names[:5]:
        shape = client.meta.service_model.operation_model(operation).input_shape
        check(shape is None or shape.type_name == "structure", name + "." + operation)
for name, operation, waiter in (("ec2", "describe_instances", "instance_running"), ("iam", "list_users", "user_exists"), ("dynamodb", "scan", "table_exists"),
                                ("logs", "filter_log_events", None), ("s3", "list_objects_v2", "bucket_exists")):
    if name in offered:
        client = session.create_client(name, region_name="us-east-1")
        check(client.can_paginate(operation) and (waiter is None or client.get_waiter(waiter)), name + " paginators or waiters")
