#!/usr/bin/env python3
"""finder.py ADDRESS PORT FILE: a route finder for loops over one transport.

Each line of FILE names a transport: ID KEY KEY. Asked for a route from a key to itself, as for a visor's
ping, it answers: there and back over the first transport that has this key.
"""

import http.server
import json
import sys

ADDRESS, PORT, FILE = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def loop(key):
    with open(FILE, encoding="ascii") as lines:
        for ident, one, other in map(str.split, lines):
            if key in (one, other):
                far = other if key == one else one
                return [{"TpID": ident, "From": key, "To": far}, {"TpID": ident, "From": far, "To": key}]
    return None


class Finder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Edges"]
        found = {edges: [loop(edges.split(":")[0])] for edges in asked}
        status = 200 if all(hops != [None] for hops in found.values()) else 404
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.HTTPServer((ADDRESS, PORT), Finder).serve_forever()
