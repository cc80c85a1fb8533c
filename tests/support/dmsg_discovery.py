#!/usr/bin/env python3
"""dmsg_discovery.py ADDRESS PORT [PEM]

A dmsg discovery in memory for tests: entries with the rules of Skywire's (signature, sequence, times), lists of
servers. With PEM, a certificate and its key, over TLS.
"""

import json
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import secp256k1

TTL = {"server": 120, "client": 3600}
CLIENT = ("delegated_servers",)
SERVER = ("address", "availableSessions", "serverType")
INVALID = "entry validation error: "


def signed_text(e):
    """What Skywire's discovery writes again to verify: known members in its order, nothing else."""
    out = {k: e[k] for k in ("version", "sequence", "timestamp", "static")}
    if e.get("client") is not None:
        out["client"] = {k: e["client"][k] for k in CLIENT}
    if e.get("client_type"):
        out["client_type"] = e["client_type"]
    if e.get("server") is not None:
        out["server"] = {k: e["server"][k] for k in SERVER if e["server"].get(k) not in (None, "")}
    return json.dumps(out, separators=(",", ":")).encode()


class Store:
    def __init__(self):
        self.entries = {}  # key -> (entry, when it ends)

    def get(self, key):
        entry, until = self.entries.get(key, (None, 0))
        return entry if until > time.monotonic() else None

    def wrong(self, e):
        """(status, text), or None."""
        now = time.time_ns()
        if e.get("version") != "0.0.1":
            return 422, INVALID + "entry has no version"
        if not e.get("signature"):
            return 422, INVALID + "entry has no signature"
        if not e.get("client") and not e.get("server"):
            return 422, INVALID + "entry has neither client or server field"
        if e.get("server") and not e["server"].get("address"):
            return 422, INVALID + "server address cannot be empty"
        if not e.get("client") and not now - 60e9 <= e["timestamp"] <= now + 5e9:
            return 422, INVALID + "advertised entry has outdated timestamp"
        if secp256k1.signer(e["signature"], signed_text(e)) != e["static"]:
            return 401, "invalid signature"
        return None

    def put(self, e):
        old = self.get(e["static"])
        if old and e["sequence"] <= old["sequence"]:
            return 422, INVALID + "sequence field of new entry is not sequence of old entry + 1"
        if old and e["timestamp"] < old["timestamp"]:
            return 422, INVALID + "advertised entry timestamp is not greater than previous"
        ttl = TTL["server" if e.get("server") else "client"]
        self.entries[e["static"]] = (e, time.monotonic() + ttl)
        return 200, "wrote new entry iteration" if old else "wrote a new entry"

    def servers(self, all_of_them):
        found = [self.get(key) for key in list(self.entries)]
        found = [e for e in found if e and e.get("server")]
        if not all_of_them:
            found = [e for e in found if e["server"]["availableSessions"] > 0]
        return sorted(found, key=lambda e: -e["server"]["availableSessions"])


class Handler(BaseHTTPRequestHandler):
    store = Store()

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def say(self, status, message):
        self.answer(status, {"message": message, "code": status})

    def do_GET(self):
        words = self.path.strip("/").split("/")
        if len(words) == 3 and words[:2] == ["dmsg-discovery", "entry"]:
            entry = self.store.get(words[2])
            if entry:
                self.answer(200, entry)
            else:
                self.say(404, "entry of public key is not found")
        elif len(words) == 2 and words[1] in ("available_servers", "all_servers"):
            servers = self.store.servers(words[1] == "all_servers")
            if servers:
                self.answer(200, servers)
            else:
                self.say(404, "no delegated dmsg servers available for remote")
        elif len(words) == 2 and words[1] == "entries":
            keys = [k for k in list(self.store.entries) if self.store.get(k)]
            self.answer(200, [k for k in keys if self.store.get(k).get("client")])
        else:
            self.say(404, "404 page not found")

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def change(self, path, then):
        if self.path != path:
            self.say(405, "")
            return
        try:
            entry = self.body()
            wrong = self.store.wrong(entry)
        except (ValueError, KeyError, TypeError, AttributeError):
            self.say(500, "something unexpected happened")
            return
        self.say(*(wrong or then(entry)))

    def do_POST(self):
        self.change("/dmsg-discovery/entry/", self.store.put)

    def do_DELETE(self):
        def remove(entry):
            self.store.entries.pop(entry["static"], None)
            return 200, "deleted entry"

        self.change("/dmsg-discovery/entry", remove)

    def log_message(self, format, *args):
        print(self.command, self.path, args[1] if len(args) > 1 else "", flush=True)


if __name__ == "__main__":
    server = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
    if len(sys.argv) > 3:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[3])
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
