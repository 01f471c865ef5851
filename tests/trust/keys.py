"""Signs and verifies mail with dkimpy, an implementation that shares nothing with the one under test.

Reads JSON lines from standard input, writes one JSON line for each.
{"do": "sign", "key": PEM, "message": TEXT, "selector", "domain", "headers"?, "length"?, "algorithm"?, "canonical"?, "time"?}
{"do": "verify", "message": TEXT, "records": {NAME: TEXT}}       verifies every signature
{"do": "verify-arc", "message": TEXT, "records": {NAME: TEXT}}
{"do": "seal", "key": PEM, "message": TEXT, "selector", "domain", "srv_id"}
{"do": "public", "key": PEM}
"""

import base64
import json
import subprocess
import sys
import time

import dkim

TIME = time.time


def sign(job):
    if "time" in job:
        time.time = lambda: job["time"]
    arguments = {}
    if "headers" in job:
        arguments["include_headers"] = [name.encode() for name in job["headers"]]
    if job.get("length"):
        arguments["length"] = True
    arguments["signature_algorithm"] = job.get("algorithm", "rsa-sha256").encode()
    arguments["canonicalize"] = tuple(part.encode() for part in job.get("canonical", "relaxed/relaxed").split("/"))
    message = job["message"].encode("utf-8", "surrogateescape")
    key = job["key"].encode()
    if job.get("algorithm") == "ed25519-sha256":
        key = base64.b64encode(base64.b64decode("".join(job["key"].split("\n")[1:-2]))[-32:])
    field = dkim.sign(message, job["selector"].encode(), job["domain"].encode(), key, **arguments)
    time.time = TIME
    return {"message": (field + message).decode("utf-8", "surrogateescape")}


def verify(job):
    message = job["message"].encode("utf-8", "surrogateescape")

    def lookup(name, timeout=5):
        name = name.decode() if isinstance(name, bytes) else name
        text = job["records"].get(name.rstrip("."))
        return text.encode() if text is not None else None

    verifier = dkim.DKIM(message, minkey=1024)
    count = len([1 for name, _ in verifier.headers if name.lower() == b"dkim-signature"])
    results = []
    for index in range(count):
        try:
            results.append(bool(verifier.verify(idx=index, dnsfunc=lookup)))
        except Exception as error:
            results.append(str(error))
    return {"results": results}


def verify_arc(job):
    message = job["message"].encode("utf-8", "surrogateescape")

    def lookup(name, timeout=5):
        name = name.decode() if isinstance(name, bytes) else name
        text = job["records"].get(name.rstrip("."))
        return text.encode() if text is not None else None

    cv, results, reason = dkim.arc_verify(message, dnsfunc=lookup)
    return {"cv": cv.decode() if cv else None, "reason": str(reason)}


def seal(job):
    message = job["message"].encode("utf-8", "surrogateescape")
    fields = dkim.arc_sign(message, job["selector"].encode(), job["domain"].encode(), job["key"].encode(), job["srv_id"].encode())
    return {"message": (b"".join(fields) + message).decode("utf-8", "surrogateescape")}


def public(job):
    der = subprocess.run(["openssl", "pkey", "-pubout", "-outform", "DER"], input=job["key"].encode(), capture_output=True, check=True)
    return {"public": base64.b64encode(der.stdout).decode()}


for line in sys.stdin:
    job = json.loads(line)
    done = {"sign": sign, "verify": verify, "verify-arc": verify_arc, "seal": seal, "public": public}[job["do"]](job)
    print(json.dumps(done), flush=True)
