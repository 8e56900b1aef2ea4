"""Addresses that must never be reached, in every spelling that reaches them, and those that may."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pipelines.gateways.addresses import URL_CHARS_MAX, Egress, check_url, is_forbidden
from pipelines.gateways.http_failures import HttpPermanent

FORBIDDEN = """
0.0.0.0 0.1.2.3 10.0.0.0 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255
127.0.0.1 127.0.0.53 127.1.2.3 127.255.255.255 168.63.129.16 169.254.0.1 169.254.169.254
169.254.170.2 169.254.255.255 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.9 192.0.0.192 192.0.2.1
192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.168.255.255 192.175.48.1 198.18.0.1
198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::2 ::7f00:1 ::127.0.0.1 ::8.8.8.8 ::ffff:0.0.0.0 ::ffff:127.0.0.1 ::ffff:10.0.0.1
::ffff:169.254.169.254 ::ffff:192.168.1.1 ::ffff:a9fe:a9fe ::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8
64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::8.8.8.8 64:ff9b:1::1 64:ff9b:1:ffff::a00:1
100::1 100:0:0:1::1 2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1 2001:20::1 2001:1ff::1
2001:db8::1 2001:db8:ffff::1 2002:7f00:1::1 2002:a9fe:a9fe::1 2002:808:808::1 2620:4f:8000::1
3ffe::1 3fff::1 3fff:fff:ffff::1 4000::1 5f00::1 8000::1 fc00::1 fd00::1 fd00:ec2::254
fd20:ce::254 fe80::1 fe80::a9fe:a9fe fec0::1 feff::1 ff02::1 ff0e::1 2a00:1450::5efe:7f00:1
2a00:1450::200:5efe:a00:1 2a00:1450::300:5efe:a00:1
""".split()

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 126.255.255.255
128.0.0.1 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0
191.255.255.255 192.0.1.1 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
203.0.112.255 203.0.114.0 223.255.255.255 2001:200::1 2001:4860:4860::8888 2003::1 2400:cb00::1
2606:4700:4700::1111 2a00:1450:4001:81b::200e 2c0f:fb50::1 ::ffff:8.8.8.8 ::ffff:1.1.1.1
""".split()

# Every one of these leads to a forbidden address by some resolver's or library's reading.
REFUSED_SPELLINGS = """
http://2130706433/ http://0x7f000001/ http://0x7f.1/ http://0x7f.0.0.1/ http://0X7F.0.0.1/
http://0177.0.0.1/ http://017700000001/ http://127.1/ http://127.0.1/ http://127.0.0.1./
http://127.0.0.01/ http://0/ http://0.0.0/ http://1.2.3.256/ http://999.1.1.1/ http://1.1.1.1.1/
http://3232235777/ http://0xa9fea9fe/ http://169.254.43518/ http://①②⑦.1/ http://１２７.1/
http://foo.127/ http://foo.0x7f/ http://0x/
http://user@93.184.216.34/ http://user:secret@example.com/ http://@example.com/
http://example.com@127.0.0.1/ http://example.com＠127.0.0.1/
http://example.com:80@127.0.0.1/ http://127.0.0.1:80\\@example.com/ http://example.com\\.evil/
http:\\\\example.com/ http://[fe80::1%25eth0]/ http://[fe80::1%eth0]/ http://exam%70le.com/
http://127.0.0.1%00.example.com/ http://[::1/ http://::1/ http://[127.0.0.1]/ http://[v1.a]/
http://[]/ http://[::1]x/ http://example.com:0/ http://example.com:65536/ http://example.com:99999/
http://example.com:８０/ http://example.com:+80/ http://example.com:-1/ http://example.com:8a/
http://example.com:80:80/ http:/example.com/ http:example.com http:///example.com http://
//example.com/ example.com ftp://example.com/ file:///etc/passwd gopher://example.com/
javascript:alert(1) data:text/html,x unix:///run/x.sock ws://example.com/ HTTPSS://example.com
http+unix://x http://*.example.com/ http://a,b.example/ http://example..com/ http://.example.com/
http://exa$mple.com/ http://example.com：80/ http://example.com／x http://[2001:db8::1]]/
""".split()

ACCEPTED = {
    "http://example.com": "http://example.com",
    "http://127.0.0.1#@example.com": "http://127.0.0.1",
    "HTTPS://Example.COM:443/A?b=C": "https://example.com/A?b=C",
    "  https://example.com/x \n": "https://example.com/x",
    "https://example.com./x": "https://example.com./x",
    "https://bücher.example/straße": "https://xn--bcher-kva.example/stra%C3%9Fe",
    "https://example.com/a b?q=ü#part": "https://example.com/a%20b?q=%C3%BC",
    "http://example.com:8080/": "http://example.com:8080/",
    "http://example.com:/": "http://example.com/",
    "http://[2606:4700::1111]:8080/": "http://[2606:4700::1111]:8080/",
    "http://①②⑦.⓪.⓪.①/": "http://127.0.0.1/",
    "http://127。0。0。1/": "http://127.0.0.1/",
    "http://my_host.example/": "http://my_host.example/",
    "http://1.example.com/": "http://1.example.com/",
    "http://x/a%2Fb?u=http://y/@z": "http://x/a%2Fb?u=http://y/@z",
}


def reason(address: str, *, host: str = "example.com", port: int = 80, allow: str = "") -> str:
    ip = ip_address(address)
    return is_forbidden(ip, host=host, port=port, egress=Egress.parse(allow)) or ""


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_outside_the_public_internet_is_forbidden(address: str) -> None:
    assert reason(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert not reason(address)


@pytest.mark.parametrize("url", REFUSED_SPELLINGS)
def test_a_url_with_more_than_one_reading_is_refused(url: str) -> None:
    with pytest.raises(HttpPermanent) as caught:
        check_url(url)

    assert caught.value.failure_class == "blocked"


@pytest.mark.parametrize("char", ["\0", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\ud800"])
@pytest.mark.parametrize("url", ["http://exa{}mple.com/", "http://example.com/a{}b", "ht{}tp://x/"])
def test_a_url_with_control_characters_is_refused(url: str, char: str) -> None:
    with pytest.raises(HttpPermanent, match="control characters"):
        check_url(url.format(char))


@pytest.mark.parametrize(("url", "parsed"), ACCEPTED.items())
def test_a_plain_url_is_parsed_once_and_for_all(url: str, parsed: str) -> None:
    assert str(check_url(url)) == parsed


def test_an_overlong_url_is_refused_with_the_limit() -> None:
    url = "https://example.com/" + "a" * URL_CHARS_MAX

    with pytest.raises(HttpPermanent, match=f"8212 characters, limit {URL_CHARS_MAX}") as caught:
        check_url(url)

    assert len(str(caught.value)) < 400


def test_a_refused_password_is_not_repeated() -> None:
    with pytest.raises(HttpPermanent, match="user name or password") as caught:
        check_url("https://me:secret@example.com/x")

    assert "secret" not in str(caught.value)


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://", "http://a/", "//"]))
def test_any_text_is_either_refused_or_an_http_url(text: str, prefix: str) -> None:
    try:
        url = check_url(prefix + text)
    except HttpPermanent:
        return

    assert url.scheme in ("http", "https")
    assert url.raw_host
    assert url.user is None
    assert check_url(str(url)) == URL(str(url))


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_mapped_into_ipv6_is_judged_like_itself(number: int) -> None:
    plain, mapped = ip_address(number), f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}"

    assert reason(mapped) == reason(str(plain))


@pytest.mark.parametrize(
    ("allow", "address", "host", "port"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", 9000),
        ("127.0.0.1:9000", "127.0.0.1", "127.0.0.1", 9000),
        ("127.0.0.1:9000", "127.0.0.1", "localhost", 9000),
        ("127.0.0.0/8", "::ffff:127.0.0.1", "x", 1),
        ("intranet.example", "10.1.2.3", "intranet.example", 443),
        ("intranet.example:443", "10.1.2.3", "Intranet.Example.", 443),
        ("INTRANET.example:443", "10.1.2.3", "intranet.example", 443),
        ("a.example, 10.0.0.0/8 ,", "10.9.9.9", "b.example", 80),
        ("::1", "::1", "localhost", 80),
        ("[::1]:8000", "::1", "localhost", 8000),
        ("fd00::/8", "fd12::1", "x", 80),
        ("64:ff9b::/96", "64:ff9b::808:808", "x", 80),
        ("bücher.example", "10.0.0.1", "xn--bcher-kva.example", 80),
    ],
)
def test_egress_lets_a_named_private_target_through(
    allow: str, address: str, host: str, port: int
) -> None:
    assert not reason(address, host=host, port=port, allow=allow)


@pytest.mark.parametrize(
    ("allow", "address", "host", "port"),
    [
        ("", "127.0.0.1", "127.0.0.1", 9000),
        ("127.0.0.1:9000", "127.0.0.1", "127.0.0.1", 9001),
        ("127.0.0.1", "127.0.0.2", "127.0.0.2", 80),
        ("intranet.example", "10.1.2.3", "evil.example", 80),
        ("intranet.example", "10.1.2.3", "sub.intranet.example", 80),
        ("intranet.example:443", "10.1.2.3", "intranet.example", 80),
        ("10.0.0.0/8", "172.16.0.1", "x", 80),
        ("[::1]:8000", "::1", "localhost", 8001),
        ("0.0.0.0/0", "::1", "x", 80),
    ],
)
def test_egress_opens_nothing_beyond_its_entry(
    allow: str, address: str, host: str, port: int
) -> None:
    assert reason(address, host=host, port=port, allow=allow)


@pytest.mark.parametrize(
    "entry",
    [
        *(
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/8:80",
            "fe80::1%eth0/64",
            "::1::",
            "[::1",
            "[::1]:",
        ),
        *("127.1", "0x7f.1", "http://x", "a b", "a@b", "*.x", "x:0", "x:65536", "x:", "x:y"),
    ],
)
def test_a_bad_egress_entry_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="EGRESS_ALLOW entry") as caught:
        Egress.parse(f"ok.example, {entry}")

    assert repr(entry) in str(caught.value)
