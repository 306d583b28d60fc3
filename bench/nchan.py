"""Nchan, the fastest of the field, from Debian's packages: what the daemon is compared with."""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from measure import SERVER_CORE

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
CONFIG = pathlib.Path(__file__).with_name("nchan.conf")


def is_there():
    return NGINX is not None and MODULE.exists()


class Nchan:
    """One worker on core 0. A channel is a user; the crowd has one of its own."""
    templates = ("--stream-path", "/sub?id=u{user}", "--crowd-path", "/sub?id=all",
                 "--publish-path", "/pub?id=u{user}", "--publish-type", "text/plain",
                 "--publish-body", "{payload}",
                 "--fanout-path", "/pub?id=all", "--fanout-body", "{payload}")

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-nchan-"))
        self.folder.chmod(0o755)    # the worker is another user where the master is root
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.address = "{}:{}".format(*s.getsockname())
        self.url = f"http://{self.address}"
        config = self.folder / "nginx.conf"
        config.write_text(CONFIG.read_text().replace("@RUN@", str(self.folder))
                          .replace("@ADDRESS@", self.address))
        self.process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), NGINX, "-p", self.folder, "-c", config],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_ready()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)
        shutil.rmtree(self.folder)

    def wait_ready(self):
        host, port = self.address.split(":")
        end = time.monotonic() + 10
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            except OSError:
                time.sleep(0.01)
        log = self.folder / "error.log"
        raise SystemExit("nginx did not start: " + (log.read_text() if log.exists() else ""))
