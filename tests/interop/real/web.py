#!/usr/bin/env python3
"""web.py PORT FILE: a web server at this machine.

GET /: that file; GET /N: its first N bytes; PUT: the answer is the SHA-256 of what came.
"""

import hashlib
import http.server
import os
import sys

PORT, FILE = int(sys.argv[1]), sys.argv[2]


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def head(self, length):
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def do_GET(self):
        with open(FILE, "rb") as file:
            left = int(self.path[1:] or os.fstat(file.fileno()).st_size)
            self.head(left)
            while left > 0 and (data := file.read(min(left, 1 << 16))):
                left -= self.wfile.write(data)

    def do_PUT(self):
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left > 0 and (data := self.rfile.read1(min(left, 1 << 16))):
            left -= len(data)
            digest.update(data)
        answer = f"{digest.hexdigest()} {left} missing\n" if left else f"{digest.hexdigest()}\n"
        self.head(len(answer))
        self.wfile.write(answer.encode())


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Web).serve_forever()
