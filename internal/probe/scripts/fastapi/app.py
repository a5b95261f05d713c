"""FastAPI routes, validates, injects, streams and describes itself as OpenAPI, asked over ASGI without a server."""
import asyncio
import importlib.metadata
import json
import typing

import fastapi
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel


def check(ok, what):
    if not ok:
        raise SystemExit("fastapi: " + what)


class Item(BaseModel):
    name: str
    price: float


app = FastAPI(title="probe", version="7")


def user(x_user: typing.Optional[str] = Header(default=None)):
    if x_user is None:
        raise HTTPException(401, "who?")
    return x_user


@app.post("/items/{n}", status_code=201)
async def create(n: int, item: Item, q: typing.List[str] = fastapi.Query(default=[]), who: str = Depends(user)):
    return {"n": n, "item": item, "q": q, "who": who}


@app.get("/stream")
def stream():
    return StreamingResponse((b"x" * 3 for _ in range(4)), media_type="text/plain")


@app.middleware("http")
async def mark(request, call_next):
    answer = await call_next(request)
    answer.headers["X-Probe"] = "yes"
    return answer


@app.exception_handler(ZeroDivisionError)
def zero(request, error):
    return PlainTextResponse("zero", status_code=418)


@app.get("/zero")
def divide():
    return 1 / 0


def call(method, path, body=None, headers=(), query=b""):
    sent, queue = [], [{"type": "http.request", "body": b"" if body is None else json.dumps(body).encode(), "more_body": False}]

    async def receive():
        return queue.pop(0) if queue else await asyncio.Event().wait()  # the client stays

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(), "query_string": query, "scheme": "http",
             "headers": [(b"content-type", b"application/json"), *headers], "server": ("h", 80), "client": ("c", 1), "root_path": ""}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(m.get("body", b"") for m in sent[1:])


check(importlib.metadata.version("fastapi") == fastapi.__version__, "metadata and module disagree on the version")
me = [(b"x-user", b"me")]
status, headers, body = call("POST", "/items/7", {"name": "a", "price": "1.5"}, me, b"q=1&q=2")
check(status == 201 and json.loads(body) == {"n": 7, "item": {"name": "a", "price": 1.5}, "q": ["1", "2"], "who": "me"} and headers[b"x-probe"] == b"yes", "request")
status, _, body = call("POST", "/items/x", {"name": "a"}, me)
check(status == 422 and {tuple(e["loc"]) for e in json.loads(body)["detail"]} == {("path", "n"), ("body", "price")}, "validation")
check(call("POST", "/items/1", {"name": "a", "price": 1})[0] == 401 and call("GET", "/none")[0] == 404 and call("GET", "/zero")[::2] == (418, b"zero"), "errors")
check(call("GET", "/stream")[2] == b"x" * 12, "stream")
schema = json.loads(call("GET", "/openapi.json")[2])
check(schema["info"] == {"title": "probe", "version": "7"} and "/items/{n}" in schema["paths"] and "Item" in schema["components"]["schemas"], "OpenAPI")
check(b"swagger-ui" in call("GET", "/docs")[2] and b"redoc" in call("GET", "/redoc")[2], "documentation pages")
