"""S3, as moto plays it, and as much of Google Cloud Storage's XML interface as obstore uses: `buckets.py PORT`.

Requests without an AWS signature are Google's; they differ from S3's in how they say that an object must be new, and in the
generation that is answered. `PUT /-/fault?status=500` makes all others fail, `status=0` keeps them waiting, `status=200` ends it.
"""

from __future__ import annotations

import sys
import threading
from urllib.parse import parse_qs

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

SIGNED = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


class Buckets:
    def __init__(self):
        self.s3 = DomainDispatcherApplication(create_backend_app)
        self.status = 200
        self.repaired = threading.Event()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/-/fault":
            self.status = int(parse_qs(environ["QUERY_STRING"])["status"][0])
            self.repaired.set()
            self.repaired = threading.Event()
            start_response("204 No Content", [])
            return []
        if self.status != 200:
            if self.status == 0:
                self.repaired.wait()
            start_response(f"{self.status or 503} Fault", [("Content-Length", "0")])
            return []
        if "AWS4" in environ.get("HTTP_AUTHORIZATION", ""):
            return self.s3(environ, start_response)
        environ["HTTP_AUTHORIZATION"] = SIGNED
        if environ.get("HTTP_X_GOOG_IF_GENERATION_MATCH") == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"

        def start(status, headers, info=None):
            return start_response(status, [*headers, ("x-goog-generation", "1")], info)

        return self.s3(environ, start)


class Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as the real ones keep them

    def log(self, *_):
        pass


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), Buckets(), threaded=True, request_handler=Silent)
