"""A receiver of webhooks: checks every signature by itself and writes down what came, one line of JSON a request.

Usage: webhook_receiver.py FOLDER. Prints its port. Reads FOLDER/secret (whsec_…) and FOLDER/mode at each request: a status to
answer with, `slow` (no answer in time), or `redirect`.
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import threading
import time

FOLDER = sys.argv[1]
LOCK = threading.Lock()


def text(name, default):
    try:
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            return file.read().strip() or default
    except FileNotFoundError:
        return default


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        identifier, stamp = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        key = base64.b64decode(text("secret", "").removeprefix("whsec_"))
        signed = f"{identifier}.{stamp}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        mode = text("mode", "200")
        entry = {
            "path": self.path,
            "id": identifier,
            "signed": hmac.compare_digest(expected, self.headers["webhook-signature"]),
            "recent": abs(time.time() - int(stamp)) < 300,
            "media": self.headers["content-type"],
            "mode": mode,
            "body": json.loads(body),
        }
        with LOCK, open(os.path.join(FOLDER, "received"), "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
        if mode == "slow":
            time.sleep(3)
            mode = "200"
        if mode == "redirect":
            self.send_response(302)
            self.send_header("location", f"http://127.0.0.1:{PORT}/elsewhere")
        else:
            self.send_response(int(mode))
        self.send_header("content-length", "0")
        try:
            self.end_headers()
        except OSError:
            pass

    do_GET = do_POST

    def log_message(self, *_):
        pass


SERVER = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
PORT = SERVER.server_address[1]
print(PORT, flush=True)
SERVER.serve_forever()
