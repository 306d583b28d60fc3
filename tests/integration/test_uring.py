"""Streams get the same with io_uring, without it, and where the system does not allow it."""
import ctypes
import errno
import functools
import os
import struct
import subprocess

from harness import BIN, Daemon, OneDaemonATest, main

IO_URING_SETUP, IO_URING_ENTER = 425, 426  # of every architecture
STREAMS = 300  # more than fit one system call

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2


def refusing(number):
    """For preexec_fn: the system call of that number fails with EPERM, as within Docker."""
    def instruction(code, jump_true, jump_false, value):
        return struct.pack("HBBI", code, jump_true, jump_false, value)

    program = b"".join([
        instruction(0x20, 0, 0, 0),                          # load the number
        instruction(0x15, 0, 1, number),                     # if it is this one
        instruction(0x06, 0, 0, 0x00050000 | errno.EPERM),   # then an error
        instruction(0x06, 0, 0, 0x7fff0000),                 # else go on
    ])
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4

    def install():
        held = ctypes.create_string_buffer(program)
        whole = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(held)))
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or
                prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(whole), 0, 0) != 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return install


@functools.cache
def has_io_uring():
    daemon = Daemon()
    try:
        return bool(daemon.log("streams are written to by io_uring"))
    finally:
        daemon.stop()


class Uring(OneDaemonATest):
    def check_all_get_all(self, daemon):
        """One user of many streams, of which some do not read for a while and some are gone."""
        gone = [self.open("u", daemon) for _ in range(10)]
        streams = [self.open("u", daemon, rcvbuf=4096 if n % 30 == 0 else None)
                   for n in range(STREAMS)]
        for stream in gone:
            stream.http.reset()
        big = "x" * 30000
        sizes = [len(big) * (n % 2) for n in range(8)]
        for n, size in enumerate(sizes):
            daemon.notify(user="u", data=f"{n}" + big[:size])
        for stream in streams:
            for n, size in enumerate(sizes):
                self.assertEqual(stream.next().data, f"{n}" + big[:size])
        daemon.notify(broadcast=True, data="the end")
        for stream in streams:
            self.assertEqual(stream.next().data, "the end")
        daemon.wait_streams("u", STREAMS)

    def test_on(self):
        if not has_io_uring():
            self.skipTest("not on this system, or not built with it")
        daemon = self.start("server.io_uring=on")
        self.check_all_get_all(daemon)
        self.assertGreater(daemon.stats()["uring_writes"], STREAMS)

    def test_off(self):
        daemon = self.start("server.io_uring=off")
        self.check_all_get_all(daemon)
        self.assertEqual(daemon.stats()["uring_writes"], 0)

    def test_where_it_is_refused_the_daemon_does_without_and_says_so(self):
        daemon = self.start(preexec_fn=refusing(IO_URING_SETUP))
        said = [e["message"] for e in daemon.log() if "io_uring" in e["message"]]
        self.assertEqual(len(said), 1)
        self.assertRegex(said[0], "plain sends: io_uring is not to be had: "
                                  "(Operation not permitted|the program was built without it)")
        self.check_all_get_all(daemon)
        self.assertEqual(daemon.stats()["uring_writes"], 0)

    def test_where_it_is_refused_and_demanded_the_daemon_does_not_start(self):
        done = subprocess.run([BIN, "serve", "-o", "server.io_uring=on", "-o",
                               "listener.default.address=127.0.0.1:0", "-o", "journal.type=memory"],
                              preexec_fn=refusing(IO_URING_SETUP), capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("server.io_uring = on: io_uring is not to be had: ", done.stderr)

    def test_when_it_fails_later_nothing_is_lost(self):
        if not has_io_uring():
            self.skipTest("not on this system, or not built with it")
        daemon = self.start("server.io_uring=on", preexec_fn=refusing(IO_URING_ENTER))
        self.check_all_get_all(daemon)
        self.assertEqual(daemon.stats()["uring_writes"], 0)
        self.assertEqual(len([e for e in daemon.log() if "io_uring has failed" in e["message"]]), 1)


if __name__ == "__main__":
    main()
