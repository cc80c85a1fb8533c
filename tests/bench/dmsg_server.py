#!/usr/bin/env python3
"""Skywire's dmsg-server as the baseline of bench_dmsg_relay: becomes it, after it has put a discovery beside it
that takes any entry, for a server of 2024 serves nobody before it is published.

    bench_dmsg_relay --baseline 'exec tests/bench/dmsg_server.py DIR'        DIR holds dmsg-server

Keys and address come from the environment (bench_dmsg_relay.c). The discovery ends with the server.
"""

import http.server
import json
import os
import sys
import tempfile


class Discovery(http.server.BaseHTTPRequestHandler):
    def answer(self, code, text):
        body = json.dumps({"code": code, "message": text}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(404, "entry of public key is not found")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(200, "wrote a new entry")

    do_DELETE = do_POST

    def log_message(self, *args):
        pass


class Server(http.server.HTTPServer):
    def handle_error(self, request, client_address):
        pass  # the server was killed while it asked


def discover(server, parent):
    server.timeout = 0.5
    while os.getppid() == parent:
        server.handle_request()


def main():
    server = Server(("127.0.0.1", 0), Discovery)
    port = server.server_address[1]
    parent = os.getpid()
    folder = tempfile.mkdtemp(prefix="bench-dmsg-")
    conf = os.path.join(folder, "dmsg-server.json")
    with open(conf, "w", encoding="ascii") as f:
        json.dump({"public_key": os.environ["DMSG_PK"], "secret_key": os.environ["DMSG_SK"],
                   "discovery": f"http://127.0.0.1:{port}",
                   "public_address": os.environ["DMSG_ADDRESS"], "local_address": os.environ["DMSG_ADDRESS"],
                   "health_endpoint_address": "127.0.0.1:0", "log_level": "error", "max_sessions": 2048}, f)
    if os.fork() == 0:
        try:
            discover(server, parent)
        finally:
            for name in os.listdir(folder):
                os.remove(os.path.join(folder, name))
            os.rmdir(folder)
            os._exit(0)
    server.server_close()
    exe = os.path.join(os.path.abspath(sys.argv[1]), "dmsg-server")
    os.chdir(folder)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.execv(exe, [exe, "start", conf])


if __name__ == "__main__":
    main()
