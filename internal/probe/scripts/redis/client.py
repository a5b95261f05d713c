"""redis-py speaks its protocol to a tiny loopback server: commands, errors, URLs; a closed port is ConnectionError."""
import importlib.metadata
import socketserver
import threading

import redis
from redis.exceptions import ConnectionError as RedisConnectionError, ResponseError

data = {}


def check(ok, what):
    if not ok:
        raise SystemExit("redis: " + what)


class Server(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            line = self.rfile.readline()
            if not line:
                return
            words = []
            for _ in range(int(line[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2])
            command = words[0].upper()
            if command == b"SET":
                data[words[1]] = words[2]
            if command == b"GET":
                value = data.get(words[1])
                self.wfile.write(b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value))
            elif command == b"LRANGE":
                self.wfile.write(b"*2\r\n$1\r\na\r\n:5\r\n")
            elif command == b"FAIL":
                self.wfile.write(b"-ERR failed\r\n")
            elif command == b"HELLO":
                self.wfile.write(b"-ERR unknown command\r\n")
            else:
                self.wfile.write({b"PING": b"+PONG\r\n", b"EXEC": b"*2\r\n+OK\r\n$1\r\nv\r\n"}.get(command, b"+OK\r\n"))


check(importlib.metadata.version("redis") == redis.__version__, "metadata and module disagree on the version")
server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Server)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
port = server.server_address[1]
options = {"protocol": 2} if int(redis.__version__.split(".")[0]) >= 5 else {}
client = redis.Redis("127.0.0.1", port, socket_timeout=5, decode_responses=True, **options)
check(client.ping() and client.set("k", "é") and client.get("k") == "é" and client.get("none") is None, "commands")
check(client.lrange("l", 0, -1) == ["a", 5], "lists")
try:
    client.execute_command("FAIL")
    raise SystemExit("redis: an error goes unnoticed")
except ResponseError as e:
    check("failed" in str(e), "ResponseError")
check(client.register_script("return 1").sha and redis.from_url("redis://u:p@h:7000/3").connection_pool.connection_kwargs["db"] == 3, "scripts or URLs")
client.close()
server.shutdown()
server.server_close()
try:
    redis.Redis("127.0.0.1", port, socket_connect_timeout=1, retry=None, **options).ping()
    raise SystemExit("redis: connected to nothing")
except RedisConnectionError:
    pass
