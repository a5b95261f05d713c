"""Flask serves pages, JSON, files, sessions, blueprints and errors with its templates, and its command line finds commands."""
# versions: >=2.1
import importlib.metadata
import io

import flask
from flask import Blueprint, Flask, abort, flash, jsonify, render_template_string, request, send_file, session, url_for


def check(ok, what):
    if not ok:
        raise SystemExit("flask: " + what)


app = Flask("probe")
app.secret_key = "k"
part = Blueprint("part", "probe", url_prefix="/part")


@app.route("/items/<int:n>", methods=["GET", "POST"])
def item(n):
    session["seen"] = session.get("seen", 0) + 1
    return jsonify(n=n, q=request.args.get("q"), body=request.get_json(silent=True), seen=session["seen"])


@app.get("/page")
def page():
    flash("hello")
    return render_template_string("{% for m in get_flashed_messages() %}{{ m }}{% endfor %} {{ '<b>' }} {{ url_for('item', n=3) }}")


@app.get("/file")
def file():
    return send_file(io.BytesIO(b"bytes"), download_name="n.txt")


@part.get("/")
def root():
    abort(418)


@app.errorhandler(418)
def teapot(error):
    return "short and stout", 418


@app.cli.command("hello")
def hello():
    print("hello from a command")


app.register_blueprint(part)
check(importlib.metadata.version("flask")[0].isdigit(), "no metadata")
check({p.name for p in importlib.metadata.distribution("flask").entry_points} >= {"flask"}, "entry point")
with app.test_client() as client:
    check(client.post("/items/7?q=é", json={"a": [1]}).get_json() == {"n": 7, "q": "é", "body": {"a": [1]}, "seen": 1}, "JSON")
    check(client.get("/items/7").get_json()["seen"] == 2 and "session=" in str(client.get("/items/1").headers["Set-Cookie"]), "session")
    check(client.get("/page").text == "hello &lt;b&gt; /items/3", "template")
    answer = client.get("/file", headers={"Range": "bytes=1-2"})
    check(client.get("/file").data == b"bytes" and answer.status_code in (200, 206), "file")
    check(client.get("/part/").text == "short and stout" and client.get("/items/x").status_code == 404 and client.delete("/page").status_code == 405, "errors")
with app.test_request_context("/"):
    check(url_for("part.root", _external=True) == "http://localhost/part/", "url_for")
result = app.test_cli_runner().invoke(args=["hello"])
check(result.exit_code == 0 and "hello from a command" in result.output, "command line")
