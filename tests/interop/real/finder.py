#!/usr/bin/env python3
"""finder.py ADDRESS PORT FILE: a route finder for routes that are written down.

Each line of FILE names a transport: ID KEY KEY. Asked for a route from a key to another, it answers with the first
transport between them; from a key to itself, as for a visor's ping: there and back over the first that has this key.
A longer line is a route as it is: ID KEY KEY, ID KEY KEY ... from the first key to the last.
"""

import http.server
import json
import sys

ADDRESS, PORT, FILE = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def route(source, sink):
    with open(FILE, encoding="ascii") as lines:
        for words in map(str.split, lines):
            if len(words) > 3:
                hops = zip(words[::3], words[1::3], words[2::3], strict=True)
                if (source, sink) == (words[1], words[-1]):
                    return [{"TpID": ident, "From": a, "To": b} for ident, a, b in hops]
                continue
            ident, one, other = words
            if source == other:
                one, other = other, one
            there, back = ({"TpID": ident, "From": a, "To": b} for a, b in ((one, other), (other, one)))
            if source == one and sink in (one, other):
                return [there] if sink == other else [there, back]
    return None


class Finder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Edges"]
        found = {edges: [route(*edges.split(":"))] for edges in asked}
        status = 200 if all(hops != [None] for hops in found.values()) else 404
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.HTTPServer((ADDRESS, PORT), Finder).serve_forever()
