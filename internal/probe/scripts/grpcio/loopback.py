"""gRPC serves and calls over loopback: unary, streams, errors, deadlines, metadata, compression, TLS credentials with its own roots, and asyncio."""
import asyncio
import concurrent.futures
import importlib.metadata
import os

import grpc
from grpc import aio


def check(ok, what):
    if not ok:
        raise SystemExit("grpcio: " + what)


def upper(data, context):
    context.set_trailing_metadata((("seen", dict(context.invocation_metadata()).get("who", "")),))
    if data == b"refuse":
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")
    return data.upper()


def count(data, context):
    yield from (b"%d" % n for n in range(int(data)))


def join(parts, context):
    return b"".join(parts)


check(importlib.metadata.version("grpcio") == grpc.__version__, "metadata and module disagree on the version")
roots = os.path.join(os.path.dirname(grpc.__file__), "_cython", "_credentials", "roots.pem")
check(os.path.getsize(roots) > 100000, "the root certificates are missing")
check(grpc.ssl_channel_credentials() is not None and grpc.composite_channel_credentials(grpc.ssl_channel_credentials(), grpc.access_token_call_credentials("t")), "credentials")
server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), compression=grpc.Compression.Gzip)
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("probe.Probe", {
    "Upper": grpc.unary_unary_rpc_method_handler(upper), "Count": grpc.unary_stream_rpc_method_handler(count), "Join": grpc.stream_unary_rpc_method_handler(join)})])
address = "127.0.0.1:%d" % server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel(address, compression=grpc.Compression.Deflate) as channel:
    unary = channel.unary_unary("/probe.Probe/Upper")
    answer, call = unary.with_call(b"layer" * 500, metadata=(("who", "me"),), timeout=10)
    check(answer == b"LAYER" * 500 and dict(call.trailing_metadata())["seen"] == "me", "unary")
    check(list(channel.unary_stream("/probe.Probe/Count")(b"5", timeout=10)) == [b"0", b"1", b"2", b"3", b"4"], "stream of answers")
    check(channel.stream_unary("/probe.Probe/Join")(iter([b"a", b"b"]), timeout=10) == b"ab", "stream of requests")
    for method, request, code in (("Upper", b"refuse", grpc.StatusCode.PERMISSION_DENIED), ("None", b"", grpc.StatusCode.UNIMPLEMENTED)):
        try:
            channel.unary_unary("/probe.Probe/" + method)(request, timeout=10)
            raise SystemExit("grpcio: %s is not refused" % method)
        except grpc.RpcError as e:
            check(e.code() is code, "%s: %s" % (method, e.code()))


async def later():
    async with aio.insecure_channel(address) as channel:
        return await channel.unary_unary("/probe.Probe/Upper")(b"aio", timeout=10)


check(asyncio.run(later()) == b"AIO", "asyncio")
server.stop(0).wait()
