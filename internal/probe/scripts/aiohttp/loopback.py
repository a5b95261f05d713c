"""aiohttp serves and requests over loopback with its C parser: JSON, gzip, streams, forms, WebSockets and errors."""
# versions: >=3.11
import asyncio
import importlib.metadata

import aiohttp
from aiohttp import web


def check(ok, what):
    if not ok:
        raise SystemExit("aiohttp: " + what)


async def echo(request):
    answer = web.json_response({"query": dict(request.query), "body": await request.text()})
    answer.enable_compression(web.ContentCoding.gzip)
    return answer


async def upload(request):
    part = await (await request.multipart()).next()
    return web.Response(text="%s %s" % (part.filename, (await part.read()).decode()))


async def socket(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        await ws.send_str(message.data[::-1])
    return ws


async def main():
    app = web.Application()
    app.add_routes([web.post("/echo", echo), web.post("/upload", upload), web.get("/socket", socket)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = "http://127.0.0.1:%d" % site._server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        async with session.post(base + "/echo", params={"a": "b c"}, data="é") as answer:
            check(answer.headers["Content-Encoding"] == "gzip" and await answer.json() == {"query": {"a": "b c"}, "body": "é"}, "JSON or gzip")
        form = aiohttp.FormData()
        form.add_field("f", b"bytes", filename="n.txt")
        async with session.post(base + "/upload", data=form) as answer:
            check(await answer.text() == "n.txt bytes", "upload")
        async with session.ws_connect(base + "/socket", compress=15) as ws:
            await ws.send_str("layer" * 50)
            check((await ws.receive(timeout=5)).data == ("layer" * 50)[::-1], "WebSocket")
        try:
            async with session.get(base + "/none", raise_for_status=True):
                raise SystemExit("aiohttp: 404 is no error")
        except aiohttp.ClientResponseError as e:
            check(e.status == 404, "ClientResponseError")
    await runner.cleanup()


check(importlib.metadata.version("aiohttp") == aiohttp.__version__, "metadata and module disagree on the version")
if "Root-Is-Purelib: false" in (importlib.metadata.distribution("aiohttp").read_text("WHEEL") or ""):
    from aiohttp import _http_parser, _http_writer  # the package falls back to Python silently
    from aiohttp.http_parser import HttpRequestParser
    from aiohttp.http_websocket import WebSocketReader
    check(HttpRequestParser is _http_parser.HttpRequestParser, "the C parser is not used")
    check(".py" not in (getattr(__import__("sys").modules[WebSocketReader.__module__], "__file__", "")), "the C WebSocket reader is not used")
asyncio.run(main())
