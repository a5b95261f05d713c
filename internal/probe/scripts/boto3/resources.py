"""boto3's resource objects are built from its data files: S3 buckets and objects, DynamoDB tables and conditions."""
# versions: >=1.35
import decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.stub import Stubber


def check(ok, what):
    if not ok:
        raise SystemExit("boto3 resources: " + what)


session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret", region_name="eu-west-1")
clients, offered = session.get_available_services(), session.get_available_resources()
for name in ("cloudformation", "cloudwatch", "dynamodb", "ec2", "glacier", "iam", "s3", "sns", "sqs"):
    if name not in clients:
        print("skipped: " + name + " (the layer does not carry it)")
    elif name not in offered:
        raise SystemExit("boto3 resources: the client " + name + " is there, its resource is not")
    else:
        resource = session.resource(name)
        check(resource.meta.service_name == name and resource.get_available_subresources() is not None, name)
if "s3" in offered and "s3" in clients:
    s3 = session.resource("s3")
    with Stubber(s3.meta.client) as stub:
        stub.add_response("list_objects", {"IsTruncated": False, "Contents": [{"Key": "a", "Size": 3}]}, {"Bucket": "b"})
        stub.add_response("head_object", {"ContentLength": 3}, {"Bucket": "b", "Key": "a"})
        found = list(s3.Bucket("b").objects.all())
        check([(o.key, o.size) for o in found] == [("a", 3)] and found[0].Object().content_length == 3, "bucket")
    check(callable(s3.Object("b", "a").upload_file) and callable(s3.Bucket("b").download_fileobj), "transfer methods")
if "dynamodb" in offered and "dynamodb" in clients:
    table = session.resource("dynamodb").Table("t")
    with Stubber(table.meta.client) as stub:
        stub.add_response("put_item", {}, {"TableName": "t", "Item": {"k": "1", "n": decimal.Decimal("1.5"), "s": {"a"}}})
        stub.add_response("query", {"Items": [{"k": {"S": "1"}, "n": {"N": "1.5"}}], "Count": 1},
                          {"TableName": "t", "KeyConditionExpression": Key("k").eq("1"), "FilterExpression": Attr("n").gt(1)})
        table.put_item(Item={"k": "1", "n": decimal.Decimal("1.5"), "s": {"a"}})
        got = table.query(KeyConditionExpression=Key("k").eq("1"), FilterExpression=Attr("n").gt(1))
        check(got["Items"] == [{"k": "1", "n": decimal.Decimal("1.5")}], "table")
value = {"l": [1, None, True, "x", b"y"], "m": {"d": decimal.Decimal("2.25")}}
check(TypeDeserializer().deserialize(TypeSerializer().serialize(value))["m"] == value["m"], "types")
