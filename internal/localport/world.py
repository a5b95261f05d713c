# Makes the world that Lambda gives a function, then becomes the interpreter that runs probe jobs:
# world.py LEVEL BASE MOUNT HIDE PROGRAM ARGUMENT...
# LEVEL is "new" (in namespaces of its own) or "plain" (in none). BASE is a folder with root/, tmp/ and task/.
# MOUNT is the unpacked stack. HIDE are files to hide, separated by ":". The first line written to descriptor 4 is
# "world" and what could not be had.
import os
import sys

UID, GID = 993, 990  # Lambda's sbx_user1051
PATH = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
LIBRARIES = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
RDONLY = 1  # MOUNT_ATTR_RDONLY
RECURSIVE = 0x8000  # AT_RECURSIVE
MOUNT_SETATTR = 442  # the number of the system call, on every processor


class C:
    def __init__(self):
        import ctypes

        self.c = ctypes
        self.lib = ctypes.CDLL(None, use_errno=True)

    def call(self, what, result):
        if result != 0:
            n = self.c.get_errno()
            raise OSError(n, os.strerror(n), what)

    def mount(self, source, target, kind, flags):
        arguments = [None if a is None else os.fsencode(a) for a in (source, target, kind)]
        self.call(target, self.lib.mount(*arguments, self.c.c_ulong(flags), None))

    def bind(self, source, target):
        self.mount(source, target, None, MS_BIND | MS_REC)

    def read_only(self, target, on, flags=RECURSIVE):
        attributes = (self.c.c_uint64 * 4)(RDONLY if on else 0, 0 if on else RDONLY, 0, 0)
        self.call(target, self.lib.syscall(self.c.c_long(MOUNT_SETATTR), self.c.c_int(-100), os.fsencode(target),
                                           self.c.c_uint(flags), self.c.byref(attributes), self.c.c_size_t(32)))

    def drop(self):
        self.lib.prctl(47, 4, 0, 0, 0)  # PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL
        if os.getuid() == 0:
            os.setgroups([])
            os.setresgid(GID, GID, GID)
            os.setresuid(UID, UID, UID)
        self.lib.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def folders_of_interpreter():
    """What the interpreter needs outside of /usr and the like, with what it has loaded."""
    out = {sys.base_prefix, sys.base_exec_prefix, os.path.dirname(os.path.realpath(executable())), os.path.dirname(os.__file__)}
    with open("/proc/self/maps") as f:
        for line in f:
            path = line.rstrip("\n").partition("/")
            if path[1] and not path[2].endswith("(deleted)"):
                out.add(os.path.dirname("/" + path[2]))
    return sorted(p for p in map(os.path.realpath, out) if p != "/")


def executable():
    return getattr(sys, "_base_executable", None) or sys.executable


def new_root(c, base, mount, hide):
    """Fills BASE/root and makes it the root: Lambda's folders, this machine's programs and libraries, only /tmp writable."""
    root = base + "/root"
    c.mount(None, "/", None, MS_REC | MS_PRIVATE)
    c.mount("tmpfs", root, "tmpfs", 0)

    def folder(name):
        os.makedirs(root + name, 0o755, exist_ok=True)
        return root + name

    def empty(name):
        os.close(os.open(root + name, os.O_CREAT | os.O_WRONLY, 0o644))
        return root + name

    taken = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "nix", "gnu", "proc", "sys"):
        path = "/" + name
        if os.path.islink(path):
            os.symlink(os.readlink(path), root + path)
        elif os.path.isdir(path):
            c.bind(path, folder(path))
            taken.append(path)
    for name in ("null", "zero", "full", "random", "urandom"):
        folder("/dev")
        c.bind("/dev/" + name, empty("/dev/" + name))
    for old, new in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(new, root + "/dev/" + old)
    moved = {}
    for path in folders_of_interpreter():
        if any(inside(path, t) for t in taken):
            continue
        new = path
        if any(inside(path, t) for t in ("/opt", "/tmp", "/var")):
            new = "/var/lang" + (str(len(moved)) if moved else "")
            moved[path] = new
        c.bind(path, folder(new))
        taken.append(path)
    c.bind(mount, folder("/opt"))
    c.bind(base + "/task", folder("/var/task"))
    c.bind(base + "/tmp", folder("/tmp"))
    folder("/var/runtime")
    folder("/home")
    nothing = empty("/dev/nothing")
    for path in hide:
        c.bind(nothing, root + path)
    users = empty("/dev/passwd")
    with open(users, "w") as f:
        f.write("root:x:0:0:root:/root:/bin/bash\nsbx_user1051:x:%d:%d::/home/sbx_user1051:/sbin/nologin\n" % (UID, GID))
    if os.path.exists(root + "/etc/passwd"):
        c.bind(users, root + "/etc/passwd")
    c.read_only(root, True)
    c.read_only(root + "/tmp", False, 0)
    os.chroot(root)
    os.chdir("/var/task")
    return moved


def loopback():
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP, IFF_RUNNING


def environment(opt, task, tmp, version):
    layer = opt + "/python"
    env = {
        "PATH": PATH, "LD_LIBRARY_PATH": LIBRARIES, "LANG": "en_US.UTF-8", "TZ": ":UTC", "SHLVL": "0",
        "LAMBDA_TASK_ROOT": task, "LAMBDA_RUNTIME_DIR": "/var/runtime", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "probe", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/probe", "AWS_LAMBDA_LOG_STREAM_NAME": "probe", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python" + version, "_HANDLER": "probe.handler", "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join([layer + "/lib/python" + version + "/site-packages", layer, opt]),
    }
    for name in ("PYTHONHOME",):
        if name in os.environ:  # of the interpreter's own wrapper
            env[name] = os.environ[name]
    if os.environ.get("LD_LIBRARY_PATH"):
        env["LD_LIBRARY_PATH"] += ":" + os.environ["LD_LIBRARY_PATH"]
    if tmp != "/tmp":
        env["TMPDIR"] = tmp
        env["HOME"] = "/dev/null/sbx_user1051"  # else it is this user's, from the list of users
        env["LD_LIBRARY_PATH"] += ":" + opt + "/lib"
    return env


def main():
    level, base, mount, hide, arguments = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]
    version = "%d.%d" % sys.version_info[:2]
    program = executable()
    lacks = []
    if level == "plain":
        os.chdir(base + "/task")
        env = environment(mount, base + "/task", base + "/tmp", version)
        program = sys.executable
    else:
        c = C()
        try:
            loopback()
        except OSError as error:
            lacks.append("no loopback network: %s" % error)
        program = os.path.realpath(program)  # a link may lie in a folder that is not there in the new root
        moved = new_root(c, base, mount, [h for h in hide.split(":") if h])
        for old, new in moved.items():
            if inside(program, old):
                program = new + program[len(old):]
        c.drop()
        env = environment("/opt", "/var/task", "/tmp", version)
    os.write(4, ("world %s\n" % "; ".join(lacks)).encode())
    os.execve(program, [program, "-S", "-B", "-c"] + arguments, env)


main()
