"""The disk under a daemon: one that fails by rules, and one that loses power (see faults.c)."""
import atexit
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SECTOR = 512
HEAD = struct.Struct("<IIQQ")
NAME = 64
WRITE, TRUNCATE, LINK, RENAME, UNLINK = range(1, 6)
NAMES = ("data.mdb", "data.mdb.new", "sse-notify.lock", "wal-0", "wal-1")

built = None


def library():
    """The path of faults.so, built once a process."""
    global built
    if built is None:
        folder = tempfile.mkdtemp(prefix="sse-notify-faults-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        built = os.path.join(folder, "faults.so")
        command = [os.environ.get("CC", "cc"), "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-shared"]
        subprocess.run([*command, "-fPIC", "-o", built, HERE / "faults.c", "-ldl"], check=True)
    return built


class Disk:
    """The disk that `directory` is on. With `has_power_cuts` all that is written is kept twice."""

    def __init__(self, directory, has_power_cuts=False):
        self.directory = pathlib.Path(directory)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sse-notify-disk-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.control = self.folder / "control"
        self.shadow = self.folder / "shadow" if has_power_cuts else None
        if self.shadow:
            self.shadow.mkdir()
        self.serial = 0
        self.rules()

    def env(self):
        """What the daemon's environment gets."""
        env = {"LD_PRELOAD": library(), "FAULTS_DIR": str(self.directory),
               "FAULTS_CONTROL": str(self.control)}
        if self.shadow:
            env["FAULTS_SHADOW"] = str(self.shadow)
        # Under a sanitizer its own library wants to be the first.
        options = os.environ.get("ASAN_OPTIONS")
        if options:
            env["ASAN_OPTIONS"] = options + ":verify_asan_link_order=0"
        return env

    def rules(self, *lines):
        """These from now on, counted anew; none: a sound disk."""
        self.hits_path().unlink(missing_ok=True)
        draft = self.folder / "control.new"
        self.serial += 1
        draft.write_text("".join(line + "\n" for line in (f"serial {self.serial}", *lines)))
        draft.rename(self.control)

    def hits_path(self):
        return self.folder / "control.hits"

    def hits(self, op=None):
        """How many calls a rule has met, of that kind."""
        try:
            lines = self.hits_path().read_text().split()
        except FileNotFoundError:
            return 0
        return len(lines) if op is None else lines.count(op)

    # ---- power ----

    def read_log(self):
        raw = (self.shadow / "log").read_bytes()
        at = 0
        entries = []
        while at + HEAD.size <= len(raw):
            kind, file, offset, length = HEAD.unpack_from(raw, at)
            at += HEAD.size
            if at + length > len(raw):
                break  # it was killed while it wrote this
            entries.append((kind, file, offset, raw[at:at + length]))
            at += length
        return entries

    def cut_power(self, rng):
        """The daemon is dead: leaves in the directory what was synced, and of the rest whatever
        `rng` lets have got to the disk. Returns how many sectors were open to chance."""
        if not (self.shadow / "names").exists():
            return 0  # it had not begun to live
        entries = self.read_log()
        names = {}  # of files, by number
        for line in (self.shadow / "names").read_text().splitlines():
            number, name = line.split()
            names[int(number)] = name
        # A file system has its names in a log of its own: in order.
        changes = [e for e in entries if e[0] >= LINK]
        for kind, file, _, raw in changes[:rng.randint(0, len(changes))]:
            old, new = (part.split(b"\0")[0].decode() for part in (raw[:NAME], raw[NAME:]))
            if kind == UNLINK:
                names.pop(file, None)
                continue
            name = old if kind == LINK else new
            names = {f: n for f, n in names.items() if n != name}
            names[file] = name
        for name in NAMES:
            (self.directory / name).unlink(missing_ok=True)
        if rng.random() < 0.5:  # nothing in it outlives its processes
            (self.directory / "lock.mdb").unlink(missing_ok=True)
        open_sectors = 0
        for file, name in names.items():
            content, count = self.content(file, [e for e in entries if e[1] == file], rng)
            open_sectors += count
            path = self.directory / name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o600)
        shutil.rmtree(self.shadow)
        self.shadow.mkdir()
        return open_sectors

    def content(self, file, entries, rng):
        path = self.shadow / f"object.{file}"
        synced = path.read_bytes() if path.exists() else b""
        now = bytearray(synced)      # as the process saw it
        versions = {}                # of each sector that was written since
        lengths = [len(synced)]
        for kind, _, offset, data in entries:
            if kind == TRUNCATE:
                now = now[:offset] + bytearray(max(offset - len(now), 0))
                lengths.append(offset)
                continue
            if kind != WRITE:
                continue
            if len(now) < offset + len(data):
                now += bytearray(offset + len(data) - len(now))
                lengths.append(len(now))
            now[offset:offset + len(data)] = data
            for sector in range(offset // SECTOR, -(-(offset + len(data)) // SECTOR)):
                versions.setdefault(sector, []).append(
                    bytes(now[sector * SECTOR:(sector + 1) * SECTOR]))
        mood = rng.choice(("none", "all", "some", "some", "pages"))
        result = bytearray(synced)
        page_is_there = {}
        for sector, written in versions.items():
            is_there = {"none": False, "all": True, "some": rng.random() < 0.5,
                        "pages": page_is_there.setdefault(sector // 8, rng.random() < 0.5)}[mood]
            if not is_there:
                continue
            content = written[-1] if mood == "all" else rng.choice(written)
            end = sector * SECTOR + len(content)
            if len(result) < end:
                result += bytearray(end - len(result))
            result[sector * SECTOR:end] = content
        if len(result) == len(synced) and rng.random() < 0.3:
            length = rng.choice(lengths)  # room was made, and nothing came into it
            result = result[:length] if length < len(result) else \
                result + bytearray(length - len(result))
        return bytes(result), len(versions)
