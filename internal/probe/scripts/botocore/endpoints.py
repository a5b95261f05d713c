"""botocore's endpoint rules, partitions, retry and default tables, typed errors, CA bundle and presigned URLs work."""
# versions: >=1.35
import os

import botocore
import botocore.httpsession
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber


def check(ok, what):
    if not ok:
        raise SystemExit("botocore endpoints: " + what)


for name in ("AWS_ENDPOINT_URL", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_DEFAULTS_MODE", "AWS_RETRY_MODE", "AWS_PROFILE"):
    os.environ.pop(name, None)
session = botocore.session.Session()
session.set_credentials("AKIDEXAMPLE", "secret")
offered = session.get_available_services()
check({"aws", "aws-cn", "aws-us-gov"} <= set(session.get_available_partitions()), "partitions")
loader = session.get_component("data_loader")
check(loader.load_data("partitions")["partitions"] and loader.load_data("_retry")["retry"]["__default__"], "partitions or retry table")
check(session.get_partition_for_region("cn-north-1") == "aws-cn" and loader.load_data("endpoints")["partitions"], "endpoints")
check("in-region" in loader.load_data("sdk-default-configuration")["modes"], "sdk-default-configuration")
check(os.path.getsize(botocore.httpsession.where()) > 100000, "CA bundle")
cases = (("sqs", "eu-west-1", {}, "https://sqs.eu-west-1.amazonaws.com"), ("sts", "us-gov-west-1", {}, "https://sts.us-gov-west-1.amazonaws.com"),
         ("dynamodb", "cn-north-1", {}, "https://dynamodb.cn-north-1.amazonaws.com.cn"), ("kms", "us-east-1", {"use_fips_endpoint": True}, "https://kms-fips.us-east-1.amazonaws.com"),
         ("lambda", "us-east-2", {"use_dualstack_endpoint": True}, "https://lambda.us-east-2.api.aws"))
for name, region, options, want in cases:
    if name not in offered:
        print("skipped: " + name + " (the layer does not carry it)")
        continue
    for mode in ("legacy", "standard", "adaptive"):
        client = session.create_client(name, region_name=region, config=Config(retries={"mode": mode, "max_attempts": 2}, **options))
        check(client.meta.endpoint_url == want, "%s in %s: %s" % (name, region, client.meta.endpoint_url))
    check(client._ruleset_resolver is not None, name + " has no rule set")
check(session.create_client(offered[0], region_name="us-east-1", config=Config(defaults_mode="in-region")).meta.config.connect_timeout == 1.1, "defaults_mode")
if "dynamodb" in offered:
    client = session.create_client("dynamodb", region_name="us-east-1")
    with Stubber(client) as stub:
        stub.add_client_error("put_item", "ConditionalCheckFailedException", "m", 400)
        try:
            client.put_item(TableName="t", Item={})
        except client.exceptions.ConditionalCheckFailedException as e:
            check(isinstance(e, ClientError), "typed error")
if "s3" in offered:
    client = session.create_client("s3", region_name="eu-central-1", config=Config(signature_version="s3v4"))
    url = client.generate_presigned_url("get_object", {"Bucket": "my-bucket", "Key": "a b"}, ExpiresIn=60)
    check(url.startswith("https://my-bucket.s3.amazonaws.com/a%20b?X-Amz-") or url.startswith("https://my-bucket.s3.eu-central-1.amazonaws.com/a%20b?X-Amz-"), url)
    post = client.generate_presigned_post("my-bucket", "k")
    check("policy" in post["fields"] and "x-amz-signature" in post["fields"], "presigned post")
    arn = "arn:aws:s3:eu-central-1:123456789012:accesspoint/point"
    check("point-123456789012.s3-accesspoint.eu-central-1" in client.generate_presigned_url("get_object", {"Bucket": arn, "Key": "k"}), "access point rule")
