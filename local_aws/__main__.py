"""The server process: prints its port and serves until its stdin is closed, so that it never outlives its parent."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from local_aws.athena import Athena
from local_aws.bucket_copy import copy_bucket, drop_bucket
from local_aws.fault_injection import Faults
from local_aws.glue_jobs import GlueJobs
from local_aws.request_log import RequestLog
from local_aws.s3_conditions import S3Conditions

CONTROL = "/_control/"


class Handler(MotoRequestHandler):
    """Logs nothing, and handles no further request on a connection that a fault has broken."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 # the name is that of the base class
        """No log: there would be thousands of lines."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:  # noqa: ARG002
        self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True  # a fault has detached the socket


class Control:
    """The control API under /_control/: configure faults and services, copy buckets, read and clear the request log."""

    def __init__(self, moto: Any, latency: float) -> None:
        self._latency = latency
        self._athena = Athena(S3Conditions(moto))
        self.glue = GlueJobs(self._athena)
        self._faults = Faults(self.glue)
        self._log = RequestLog(self._faults)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith(CONTROL):
            time.sleep(self._latency)
            return self._log(environ, start_response)
        answer = self._answer(path.removeprefix(CONTROL), Request(environ))
        return Response(json.dumps(answer), content_type="application/json")(environ, start_response)

    def _answer(self, command: str, request: Request) -> Any:
        match command:
            case "faults":
                self._faults.configure(**json.loads(request.get_data()))
                return {}
            case "injected-faults":
                return self._faults.injected
            case "requests":
                return self._log.counts()
            case "athena":
                self._athena.configure(**json.loads(request.get_data()))
                return {}
            case "glue":
                self.glue.configure(**json.loads(request.get_data()))
                return {}
            case "glue-run":
                self.glue.set_state(**json.loads(request.get_data()))
                return {}
            case "copy-bucket":
                copy_bucket(**json.loads(request.get_data()))
                return {}
            case "drop-bucket":
                drop_bucket(**json.loads(request.get_data()))
                return {}
            case "clear-requests":
                self._log.clear()
                return {}
            case _:
                raise ValueError(command)


def main() -> None:
    # Ctrl-C reaches the whole process group. The parent may still need AWS to shut down cleanly.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    app = Control(DomainDispatcherApplication(create_backend_app), latency=float(sys.argv[1]) / 1000)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    app.glue.endpoint = f"http://127.0.0.1:{server.port}"
    print(server.port, flush=True)
    sys.stdin.read()
    app.glue.stop_all()


if __name__ == "__main__":
    main()
