#!/usr/bin/env python3
"""gate.py ADDRESS PORT TO TO_PORT FILE: a way for TCP connections.

After SIGUSR1 what comes back by it is held, for as many seconds from the first of it on as FILE says.
"""

import signal
import socket
import sys
import threading
import time

ADDRESS, PORT, TO, TO_PORT, FILE = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
shut = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: shut.set())


def carry(source, sink, held):
    try:
        while data := source.recv(1 << 16):
            if held and shut.is_set():
                with open(FILE, encoding="ascii") as file:
                    time.sleep(float(file.read()))
                shut.clear()
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


with socket.create_server((ADDRESS, PORT)) as server:
    print("open", flush=True)
    while True:
        near, _ = server.accept()
        far = socket.create_connection((TO, TO_PORT))
        for conn in (near, far):
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=carry, args=(near, far, False), daemon=True).start()
        threading.Thread(target=carry, args=(far, near, True), daemon=True).start()
