"""Postfix as a relay of a test's own: settings, queue and mailboxes are in one folder."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from tempfile import mkdtemp

from tests.processes import wait_until

USER, PASSWORD = "workers", "s3cret/=@pass"
REALM = "mail.test"
DOMAIN = "inbox.test"
# Neither root nor one of Postfix' own, as it asks of who owns a mailbox.
MAILBOX_UID = 65534

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = /dev/stdout
myhostname = {realm}
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mailboxes
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {folder}/server.pem
smtpd_tls_key_file = {folder}/server.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {folder}/sasl
smtpd_sasl_local_domain = {realm}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = reject_unauth_destination, permit_sasl_authenticated, reject
smtputf8_enable = yes
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
virtual unix - n n - - virtual
postlog unix-dgram n - n - 1 postlogd
"""
SASL = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {folder}/sasldb
mech_list: PLAIN LOGIN
"""


@dataclass(frozen=True)
class Postfix:
    """Takes mail for anyone at DOMAIN and nowhere else, from who signs in over STARTTLS."""

    port: int
    folder: Path

    def raw(self) -> list[bytes]:
        """The files of the mailbox, as they are stored."""
        return [file.read_bytes() for file in (self.folder / "mailboxes/inbox/new").glob("*")]

    def mail(self, to: str) -> list[EmailMessage]:
        """What was delivered to this address."""
        found = [message_from_bytes(raw, policy=default) for raw in self.raw()]
        return [each for each in found if each["Delivered-To"] == to]

    def log(self) -> str:
        return (self.folder / "log").read_text()


@contextmanager
def postfix(certificate: bytes) -> Iterator[Postfix]:
    """Serve on 127.0.0.1 with this certificate and key (PEM) until the block ends."""
    # Not under the test's own folder, which its user alone may enter.
    folder = Path(mkdtemp(prefix="avivro-postfix-"))
    folder.chmod(0o755)
    try:
        serving = Postfix(free_port(), folder)
        prepare(serving, certificate)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                as_root("/usr/sbin/postfix", "-c", str(folder), "start-fg"),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(lambda: answers(serving.port), "Postfix starts")
            yield serving
        finally:
            subprocess.run(
                as_root("/usr/sbin/postfix", "-c", str(folder), "stop"),
                check=False,
                capture_output=True,
            )
            process.wait(20)
    finally:
        subprocess.run(as_root("rm", "-rf", str(folder)), check=True)


def prepare(serving: Postfix, certificate: bytes) -> None:
    folder = serving.folder
    for name in ("queue", "data", "mailboxes", "sasl"):
        (folder / name).mkdir()
    values = {
        "folder": folder,
        "port": serving.port,
        "realm": REALM,
        "domain": DOMAIN,
        "uid": MAILBOX_UID,
    }
    (folder / "main.cf").write_text(MAIN.format(**values))
    (folder / "master.cf").write_text(MASTER.format(**values))
    (folder / "sasl" / "smtpd.conf").write_text(SASL.format(**values))
    (folder / "server.pem").write_bytes(certificate)
    (folder / "server.pem").chmod(0o600)
    subprocess.run(
        ["/usr/sbin/saslpasswd2", "-p", "-c", "-f", str(folder / "sasldb"), "-u", REALM, USER],
        input=PASSWORD.encode(),
        check=True,
    )
    # Postfix starts as root and works as users of its own.
    subprocess.run(as_root("chown", "-R", "root", str(folder)), check=True)
    subprocess.run(as_root("chown", "postfix", f"{folder}/data", f"{folder}/sasldb"), check=True)
    subprocess.run(as_root("chown", str(MAILBOX_UID), f"{folder}/mailboxes"), check=True)


def as_root(*command: str) -> list[str]:
    return list(command) if os.geteuid() == 0 else ["sudo", "-n", *command]


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as line:
            return line.recv(4) == b"220 "
    except OSError:
        return False
