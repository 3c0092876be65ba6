"""What clients see while the database or the token is gone."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests/interop"))
from acmeclient import Client, Tap, make_csr  # noqa: E402

state, directory, root, port, chancery = sys.argv[1:6]
tap = Tap()


def pid_of(name, of=None):
    """The process id that the supervisor logged last for a daemon."""
    with open(f"{state}/log/chancery.log", errors="replace") as f:
        lines = [line for line in f if f'started msg="{name}, process' in line]
    return int(lines[-1].rsplit(" ", 1)[1].strip().strip('"'))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(p) for p in f.read().split()]


def wait_until(check, seconds=30):
    end = time.time() + seconds
    while time.time() < end:
        if check():
            return True
        time.sleep(0.2)
    return False


def alive(pid):
    return os.path.exists(f"/proc/{pid}")


def healthy():
    try:
        return c.send("GET", directory.replace(
            "/acme/directory", "/health")).status == 200
    except OSError:
        return False


def try_finalize():
    url, o = c.ready("outage.test")
    a = c.finalize(o, make_csr(["outage.test"]))
    return url, o, a


c = Client(directory, root, int(port))
c.serve()
c.register()
tap.point(c.ready("outage.test")[1].json["status"] == "ready",
          "an order is ready before anything breaks")
enrolld = pid_of("enrolld")
up = int(open(f"{os.path.realpath(state)}/run/up.pid").read())

# the database is down: the supervisor sleeps, so nobody restarts it
url, o = c.ready("outage.test")
os.kill(up, signal.SIGSTOP)
pg = pid_of("postgresql")
os.kill(pg, signal.SIGQUIT)
wait_until(lambda: not children(pg) if alive(pg) else True)
time.sleep(0.5)
a = c.order("down.test")
tap.problem(a, 503, "serverInternal", "newOrder without database is 503")
tap.point(a.headers["Retry-After"] is not None, "with Retry-After")
a = c.finalize(o, make_csr(["outage.test"]))
tap.problem(a, 503, "serverInternal", "finalize without database is 503")
tap.point(not healthy(), "health says so")
os.kill(up, signal.SIGCONT)
tap.point(wait_until(healthy), "the database comes back")
tap.point(wait_until(lambda: c.post(url).json.get("status") == "ready"),
          "the order is still ready: nothing was half issued")
csr = make_csr(["outage.test"])
tap.point(wait_until(lambda: c.finalize(o, csr).status == 200, 10),
          "the same order is finalized now")
tap.point(c.post(url).json["status"] == "valid", "and valid")
tap.point(pid_of("enrolld") == enrolld and alive(enrolld),
          "enrolld was not restarted")

# the token is gone: its directory moves away and every slot must log in anew
url, o = c.ready("outage.test")
tokens = f"{os.path.realpath(state)}/issuing/tokens"
os.rename(tokens, tokens + ".away")
for slot in children(pid_of("signd")):
    os.kill(slot, signal.SIGKILL)
time.sleep(1)
a = c.finalize(o, make_csr(["outage.test"]))
tap.problem(a, 503, "serverInternal", "finalize without token is 503")
tap.point(a.headers["Retry-After"] is not None, "with Retry-After")
os.rename(tokens + ".away", tokens)
tap.point(wait_until(healthy), "the signer comes back by itself")
url, o, a = try_finalize()
tap.point(a.status == 200 and a.json["status"] == "valid",
          "a certificate is issued again", a.raw)

# signer processes die under load: the next request works
for slot in children(pid_of("signd")):
    os.kill(slot, signal.SIGKILL)
tap.point(wait_until(lambda: try_finalize()[2].status == 200, 5),
          "slots that died are replaced within seconds")

# enrolld dies: the supervisor starts it, orders go on
url, o = c.ready("outage.test")
os.kill(enrolld, signal.SIGKILL)
tap.point(wait_until(lambda: pid_of("enrolld") != enrolld and healthy()),
          "a killed enrolld is started again")
a = c.finalize(o, make_csr(["outage.test"]))
tap.point(a.status == 200 and a.json["status"] == "valid",
          "an order made before is finalized after", a.raw)
vald = pid_of("vald")
os.kill(vald, signal.SIGKILL)
url, o = c.ready("after-vald.test")
tap.point(o.json["status"] == "ready", "validation goes on after vald died")

out = subprocess.run([chancery, "check"], capture_output=True, text=True)
tap.point(out.returncode == 0, "chancery check is content at the end",
          out.stdout + out.stderr)
sys.exit(tap.done())
