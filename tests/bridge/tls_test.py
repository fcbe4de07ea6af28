#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real bridges with real certificates, and those who have others or none."""
import os
import re
import resource
import shutil
import socket
import ssl
import subprocess
import threading
import unittest

from bridges import Cluster, wait_for

EX_CONFIG = 78
SUBSCRIBER = b"\0SP\0\0\x21\0\0"
PUBLISHER = b"\0SP\0\0\x20\0\0"
ELSEWHERE = "127.0.0.2"  # whose refusals are told apart from those of the bridges
EARLY, PAST, LATER, LATE = "20000101000000Z", "20010101000000Z", "20480101000000Z", "20490101000000Z"

CA_SETTINGS = """[ca]
default_ca = it
[it]
new_certs_dir = {folder}/issued
database = {folder}/index
serial = {folder}/serial
unique_subject = no
default_md = sha256
policy = policy
x509_extensions = member
[policy]
commonName = supplied
[member]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:{name}
"""


def setUpModule():
    """The sockets of a flood are on our side, too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))


class Certificates:
    """More than `slotshare pki` makes, from the authority that it made."""

    def __init__(self, cluster):
        self.folder = cluster.directory
        os.mkdir(self.path("issued"))
        self.openssl("req", "-x509", *self.key("other-ca"), "-days", "2", "-subj", "/CN=other",
                     "-out", self.path("other-ca.pem"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def openssl(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    def key(self, file):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                self.path(file + ".key"))

    def make(self, file, name, start=EARLY, end=LATE, authority="ca"):
        """FILE.pem and FILE.key. @return FILE's path without its ending"""
        with open(self.path("ca.cnf"), "w", encoding="ascii") as out:
            out.write(CA_SETTINGS.format(folder=self.folder, name=name))
        open(self.path("index"), "w", encoding="ascii").close()
        self.openssl("req", *self.key(file), "-subj", "/CN=slotshare", "-out",
                     self.path(file + ".csr"))
        self.openssl("ca", "-batch", "-config", self.path("ca.cnf"), "-create_serial", "-notext",
                     "-startdate", start, "-enddate", end, "-cert", self.path(authority + ".pem"),
                     "-keyfile", self.path(authority + ".key"), "-in", self.path(file + ".csr"),
                     "-out", self.path(file + ".pem"))
        return self.path(file)


def port_of(node):
    return int(node.url.rsplit(":", 1)[1])


def connect(node):
    return socket.create_connection(("127.0.0.1", port_of(node)), timeout=60,
                                    source_address=(ELSEWHERE, 0))


def client_context(pair=None):
    """Accepts everybody: it is the bridge that is to refuse."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if pair:
        context.load_cert_chain(pair + ".pem", pair + ".key")
    return context


def greet(stream, greeting=SUBSCRIBER):
    """@return what comes then, up to a greeting; b"" when the connection is ended"""
    answer = b""
    try:
        stream.sendall(greeting)
        while len(answer) < len(PUBLISHER) and (more := stream.recv(len(PUBLISHER) - len(answer))):
            answer += more
    except (ConnectionError, ssl.SSLError):
        pass
    return answer


def call_on(node, pair=None, greeting=SUBSCRIBER):
    """With TLS. @return as greet()"""
    with connect(node) as plain:
        try:
            with client_context(pair).wrap_socket(plain) as stream:
                return greet(stream, greeting)
        except (ConnectionError, ssl.SSLError):
            return b""


def call_plain(node, greeting=SUBSCRIBER):
    with connect(node) as stream:
        return greet(stream, greeting)


def serial_of(node, pair):
    """The certificate that a bridge shows."""
    with connect(node) as plain, client_context(pair).wrap_socket(plain) as stream:
        return stream.getpeercert(binary_form=True)


def hello():
    """The first bytes of a TLS session."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client_context().wrap_bio(into, out).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


class Listener:
    """In a member's place, but not it: accepts, and shows a certificate (None: speaks plainly)."""

    def __init__(self, node, pair, authority):
        self.context = None
        if pair:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(pair + ".pem", pair + ".key")
            self.context.load_verify_locations(authority)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.socket = socket.create_server(("127.0.0.1", port_of(node)))
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            client.settimeout(60)
            with client:
                try:
                    if self.context:
                        with self.context.wrap_socket(client, server_side=True) as stream:
                            greet(stream, PUBLISHER)
                    else:
                        greet(client, PUBLISHER)
                except (OSError, ssl.SSLError):
                    pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


class Case(unittest.TestCase):
    def undisturbed(self, cluster):
        """No connection ended but those that a machine under load was silent on for seconds."""
        cluster.wait_sessions(cluster.workers)
        for node in cluster.nodes:
            self.assertFalse(node.ended())
            log = node.log()
            for other in cluster.nodes:
                self.assertLessEqual(log.count(f"event=member_disconnected member={other.name} "),
                                     log.count(f"event=member_silent member={other.name} "))

    def refused(self, node):
        return node.status()["refused"]


class Refusals(Case):
    def test_who_comes(self):
        """Each is refused, told once with its reason, and counted; nobody else notices."""
        with Cluster(scheme="tls+tcp", session="6") as cluster:
            made = Certificates(cluster)
            cluster.wait_sessions([cluster.worker(i) for i in range(3)])
            node = cluster.nodes[0]
            path = made.path
            alone = ("-x509", *made.key("stranger"), "-days", "2", "-subj", "/CN=mta2", "-out",
                     path("stranger.pem"))
            made.openssl("req", *alone)
            strangers = {
                "plain": lambda: call_plain(node),
                "no-certificate": lambda: call_on(node),
                "wrong-ca": lambda: call_on(node, path("stranger")),
                "expired": lambda p=made.make("old", "mta2", end=PAST): call_on(node, p),
                "not-yet-valid": lambda p=made.make("new", "mta2", start=LATER): call_on(node, p),
                "wrong-name": lambda p=made.make("nobody", "nobody"): call_on(node, p),
                "not-a-bridge": lambda: call_on(node, path("mta2"), b"GET / HTTP/1.0\r\n\r\n"),
                "left": lambda: connect(node).close(),
            }
            before = self.refused(node)
            for code, come in strangers.items():
                with self.subTest(code):
                    for _ in range(3):
                        self.assertFalse(come())
                    wait_for("its count", lambda c=code: self.refused(node).get(c, 0) >=
                             before.get(c, 0) + 3)
            # Signed by another authority, under a member's name.
            other = made.make("foreign", "mta2", authority="other-ca")
            self.assertFalse(call_on(node, other))
            # The member itself is let in; more often than members connect, its oldest goes.
            self.assertEqual(call_on(node, path("mta2")), PUBLISHER)
            wait_for("the log", lambda: all(node.says(f"from={ELSEWHERE} code={code}")
                                            for code in strangers))
            lines = re.findall(rf"event=connection_refused from={ELSEWHERE} code=(\S+) .*reason=",
                               node.log())
            self.assertEqual(sorted(lines), sorted(strangers))
            self.assertRegex(node.log(), r'code=wrong-name certificate=nobody reason="its cert')
            out = node.ask("status")[1]
            self.assertRegex(out, r"\nrefused +connections: .*plain 3.*wrong-ca 4")
            self.undisturbed(cluster)

    def test_who_is_dialed(self):
        """A listener that is not the member is refused by those who dial, with the reason."""
        with Cluster(scheme="tls+tcp", count=6, start=False) as cluster:
            made = Certificates(cluster)
            node, second, third, fourth, fifth, sixth = cluster.nodes
            shown = {  # who is there in whose place, and what is said about it
                second: (made.path("mta3"), 'its certificate names \\"mta3\\", and must name mta2',
                         "wrong-name"),
                third: (made.make("old", "mta3", end=PAST), "no longer valid", "expired"),
                fourth: (made.make("new", "mta4", start=LATER), "not valid yet", "not-yet-valid"),
                fifth: (made.make("foreign", "mta5", authority="other-ca"),
                        "was not signed by our ca", "wrong-ca"),
                sixth: (None, "no TLS 1.2", "tls"),
            }
            listeners = []
            try:
                for member, (pair, _, _) in shown.items():
                    listeners.append(Listener(member, pair, made.path("ca.pem")))
                node.start()
                for member, (_, words, code) in shown.items():
                    with self.subTest(member.name):
                        line = re.compile(rf"event=member_unreachable member={member.name} .*" +
                                          re.escape(words))
                        wait_for(words, lambda x=line: x.search(node.log()))
                        self.assertGreater(self.refused(node)[code], 0)
                self.assertFalse(node.says("event=member_connected"))
            finally:
                for listener in listeners:
                    listener.close()

    def test_own_certificate(self):
        """A bridge does not start with a certificate that nobody would accept."""
        with Cluster(scheme="tls+tcp", count=1, start=False) as cluster:
            made = Certificates(cluster)
            node = cluster.nodes[0]
            for words, wrong in (
                    ("was valid until 2001-01-01 00:00 UTC", {"name": "mta1", "end": PAST}),
                    ("is valid from 2048-01-01 00:00 UTC", {"name": "mta1", "start": LATER}),
                    ("it names \"mta2\"", {"name": "mta2"}),
                    ("was not signed by ca", {"name": "mta1", "authority": "other-ca"})):
                made.make("mta1", **wrong)
                node.run("--found")
                self.assertEqual(node.process.wait(timeout=60), 1, words)
                self.assertIn(words, node.log())


def figures(node):
    """@return descriptors, kB of memory, and whether a sanitizer makes the latter meaningless"""
    proc = f"/proc/{node.process.pid}"
    with open(f"{proc}/status", encoding="ascii") as status:
        memory = int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
    with open(f"{proc}/maps", encoding="ascii") as maps:
        sanitized = re.search(r"lib[at]san", maps.read()) is not None
    return len(os.listdir(f"{proc}/fd")), memory, sanitized


class Flood(Case):
    COUNT = 600
    GREETERS = 64  # as in bridge/gate.h

    def test_half_open(self):
        """Connections that say nothing, or half of what they should, cost little and stop nobody."""
        with Cluster(scheme="tls+tcp") as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            node, other = cluster.nodes[:2]
            before = figures(node)
            flood = []
            half = hello()[:100]
            try:
                for i in range(self.COUNT):
                    flood.append(connect(node))
                    if i % 2:
                        flood[-1].sendall(half)
                wait_for("most of them to be gone", lambda: self.refused(node).get("silent", 0) >=
                         self.COUNT - self.GREETERS)
                during = figures(node)
                # A member that comes back during the flood is let in, and slots move.
                other.kill()
                other.start()
                wait_for("the other's connection", lambda: other.says(
                    "event=member_connected member=mta1"))
                for _ in range(self.GREETERS):
                    flood.append(connect(node))
                workers[1].close()
                cluster.workers.remove(workers[1])
                workers[1] = cluster.worker(1)
                cluster.wait_sessions(workers)
                wait_for("slots", lambda: workers[0].take_all(10) == 10)
                # With those of the member that came back, and its probe.
                self.assertLessEqual(during[0], before[0] + self.GREETERS + 8)
                if not before[2]:
                    self.assertLess(during[1] - before[1], 12 * 1024)
                print(f"{len(flood)} half-open connections: descriptors {before[0]} -> {during[0]}, "
                      f"memory {before[1]} -> {during[1]} kB")
            finally:
                for one in flood:
                    one.close()
            wait_for("its descriptors back", lambda: figures(node)[0] <= before[0] + 8)
            self.assertFalse(node.ended())

    def test_few_descriptors(self):
        """The same with few descriptors: the flood does not get them all."""
        with Cluster(scheme="tls+tcp", start=False) as cluster:
            node, other, third = cluster.nodes
            node.prefix = ["prlimit", "--nofile=128"]
            for one in cluster.nodes:
                one.start()
            cluster.wait_sessions([cluster.worker(i) for i in range(3)])
            flood = []
            try:
                for _ in range(300):
                    flood.append(connect(node))
                other.kill()
                other.start()
                wait_for("the other's connection", lambda: other.says(
                    "event=member_connected member=mta1"))
                self.assertEqual(node.ask("status")[0], 0)
            finally:
                for one in flood:
                    one.close()
            log = third.log()
            self.assertLessEqual(log.count("event=member_disconnected member=mta1 "),
                                 log.count("event=member_silent member=mta1 "))


class Renewal(Case):
    def install(self, made, file, node):
        """As renewal tools do: one file after the other."""
        for ending in (".pem", ".key"):
            shutil.copyfile(made.path(file + ending), made.path(file + ending + ".new"))
            os.chmod(made.path(file + ending + ".new"), 0o600)
            os.rename(made.path(file + ending + ".new"), made.path(node.name + ending))

    def test_new_certificates(self):
        with Cluster(scheme="tls+tcp", session="6") as cluster:
            made = Certificates(cluster)
            cluster.wait_sessions([cluster.worker(i) for i in range(3)])
            node = cluster.nodes[0]
            client = made.path("mta2")
            first = serial_of(node, client)
            made.make("second", "mta1")
            made.make("third", "mta1")
            made.make("bad", "mta2")
            # Told to: by slotshare reload.
            self.install(made, "second", node)
            code, out, errors = node.ask("reload")
            self.assertEqual((code, errors), (0, ""))
            self.assertIn("certificates: new ones", out)
            self.assertTrue(node.says("event=certificates_renewed"))
            def shown():
                return serial_of(node, client)
            second = wait_for("the second", lambda: (found := shown()) != first and found)
            self.assertNotIn("certificates", node.ask("reload")[1])
            # Bad ones: said so, and the good ones stay.
            self.install(made, "bad", node)
            code, out, errors = node.ask("reload")
            self.assertEqual(code, EX_CONFIG)
            self.assertIn("those read before stay in use", errors)
            self.assertIn('it names "mta2"', errors)
            self.assertTrue(node.says("event=certificates_refused"))
            self.assertEqual(shown(), second)
            # By itself, when the files have changed.
            self.install(made, "third", node)
            wait_for("the third", lambda: shown() not in (first, second))
            self.assertEqual(node.log().count("event=certificates_renewed"), 2)
            self.undisturbed(cluster)
            # A member that comes back meets them, and is met with them.
            other = cluster.nodes[1]
            other.kill()
            other.start()
            for a, b in ((node, other), (other, node)):
                wait_for("their connection", lambda a=a, b=b: len(re.findall(
                    f"event=member_connected member={b.name}", a.log())) >= (2 if a is node else 1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
