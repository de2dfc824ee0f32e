"""How to trust the CA, and how to stop trusting it: platform by platform, as plain data.

Texts are paragraphs with blank lines between them; an indented paragraph is code to be copied, and
so is what stands between backquotes. Between at signs stands what is to be filled in:

| | |
|---|---|
| @url@ @host@ @port@ | the proxy: address, and its parts |
| @name@ | how the CA is called in lists of certificates |
| @pem@ @cer@ @crt@ @p12@ @mobileconfig@ | names of the files to download |
| @sha1@ | the certificate's SHA-1, by which systems find it |
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Platform:
    """One place that has trust of its own.

    Attributes:
        name: Its name.
        kind: The download that fits, as `CertificateAuthority.export` calls it.
        trust: What to do, step by step.
        remove: How to undo it.
        agents: Parts of a browser's User-Agent by which to tell that it is this one.
    """

    name: str
    kind: str
    trust: str
    remove: str
    agents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """A program or library that is told by its caller what to trust, so nothing is left behind.

    Attributes:
        name: Its name.
        code: Lines to be copied.
        note: One more paragraph, or "".
    """

    name: str
    code: str
    note: str = ""


# The first whose agents fit is shown open: phones stand before Firefox, Firefox before systems.
PLATFORMS: tuple[Platform, ...] = (
    Platform(
        "iPhone and iPad",
        "mobileconfig",
        trust="""
In Settings, Wi-Fi, tap the (i) beside your network, then Configure Proxy, Manual: server `@host@`,
port `@port@`.

Open this page in Safari, download the profile and allow it.

Settings, General, VPN & Device Management: install the profile.

Settings, General, About, Certificate Trust Settings: switch on `@name@`. Without this step the
certificate is there but not trusted.
""",
        remove="""
Settings, General, VPN & Device Management: remove the profile.

Set Configure Proxy to Off.
""",
        agents=("iPhone", "iPad"),
    ),
    Platform(
        "Android",
        "crt",
        trust="""
In the settings of your Wi-Fi network set the proxy by hand: `@host@`, port `@port@`.

Download the certificate.

Settings, Security and privacy, More, Encryption and credentials, Install a certificate, CA
certificate: choose `@crt@`. The words differ between makers; searching the settings for "CA
certificate" finds it.

Chrome trusts it now. Apps made for Android 7 or newer do so only if their network security
configuration allows user certificates, which debug builds of your own apps can.
""",
        remove="""
Settings, Encryption and credentials, User credentials (or Trusted credentials, User): remove
`@name@`.

Take the proxy out of the Wi-Fi settings.
""",
        agents=("Android",),
    ),
    Platform(
        "Firefox",
        "pem",
        trust="""
Firefox keeps certificates of its own on every system. Download the file.

Settings, Privacy & Security, Certificates, View Certificates, Authorities, Import: choose `@pem@`
and tick "Trust this CA to identify websites".

Settings, General, Network Settings, Manual proxy configuration: `@host@`, port `@port@`, and "Also
use this proxy for HTTPS".
""",
        remove="""
In the same list of authorities select `@name@` and press Delete or Distrust.
""",
        agents=("Firefox/",),
    ),
    Platform(
        "Windows",
        "cer",
        trust="""
Download the file and trust it for your own account; no administrator is needed. Windows asks once
whether you mean it. Edge, Chrome and most programs follow.

    certutil -user -addstore Root @cer@

Or by mouse: open the file, Install Certificate, Current User, and place it in "Trusted Root
Certification Authorities".

Set the proxy in Settings, Network & internet, Proxy.
""",
        remove="""
In a command prompt:

    certutil -user -delstore Root @sha1@
""",
        agents=("Windows NT",),
    ),
    Platform(
        "macOS",
        "pem",
        trust=r"""
Download the file and trust it for your own account; Safari, Chrome and most programs follow.

    security add-trusted-cert -r trustRoot \
        -k ~/Library/Keychains/login.keychain-db @pem@

Or by mouse: open the file, which adds it to Keychain Access; open it there and choose Trust, Always
Trust.

Set the proxy in System Settings, Network, Details, Proxies.
""",
        remove=r"""
In a terminal:

    security delete-certificate -t -Z @sha1@ \
        ~/Library/Keychains/login.keychain-db
""",
        agents=("Macintosh",),
    ),
    Platform(
        "Chromium and Chrome on Linux",
        "pem",
        trust="""
They look into an NSS database: `~/.pki/nssdb`, or, where that does not exist, another one that the
browser makes at its first start. The tool is in the package libnss3-tools (Debian) or nss-tools
(Fedora).

    DB=~/.pki/nssdb; [ -d $DB ] || DB=~/.local/share/pki/nssdb
    certutil -d sql:$DB -A -t C,, -n nbproxy -i @pem@

Start a browser that goes through the proxy, with a profile just for this:

    chromium --proxy-server=@url@ --user-data-dir=$(mktemp -d)
""",
        remove="""
In a terminal:

    DB=~/.pki/nssdb; [ -d $DB ] || DB=~/.local/share/pki/nssdb
    certutil -d sql:$DB -D -n nbproxy
""",
        agents=("X11; Linux", "CrOS"),
    ),
    Platform(
        "Debian, Ubuntu and their kin",
        "pem",
        trust="""
For curl, wget, git, apt and whatever else uses the system's certificates:

    sudo cp @pem@ /usr/local/share/ca-certificates/nbproxy.crt
    sudo update-ca-certificates
""",
        remove="""
In a terminal:

    sudo rm /usr/local/share/ca-certificates/nbproxy.crt
    sudo update-ca-certificates --fresh
""",
    ),
    Platform(
        "Fedora, RHEL, Arch and their kin",
        "pem",
        trust="""
For whatever uses the system's certificates:

    sudo trust anchor --store @pem@
""",
        remove="""
In a terminal:

    sudo trust anchor --remove @pem@
""",
    ),
)

PROGRAMS: tuple[Program, ...] = (
    Program(
        "Most programs, by environment",
        r"""
export http_proxy=@url@ https_proxy=@url@ HTTP_PROXY=@url@ HTTPS_PROXY=@url@
export SSL_CERT_FILE=$PWD/@pem@ REQUESTS_CA_BUNDLE=$PWD/@pem@ \
    CURL_CA_BUNDLE=$PWD/@pem@ GIT_SSL_CAINFO=$PWD/@pem@ PIP_CERT=$PWD/@pem@ \
    NODE_EXTRA_CA_CERTS=$PWD/@pem@ NODE_USE_ENV_PROXY=1
""",
        "This holds in one shell only. In a notebook `%nbproxy env` prints it with full paths.",
    ),
    Program(
        "requests",
        """
proxies = {"http": "@url@", "https": "@url@"}
requests.get("https://example.org/", proxies=proxies, verify="@pem@")
""",
    ),
    Program(
        "httpx",
        """
trust = ssl.create_default_context(cafile="@pem@")
httpx.get("https://example.org/", proxy="@url@", verify=trust)
""",
    ),
    Program(
        "aiohttp",
        """
trust = ssl.create_default_context(cafile="@pem@")
await session.get("https://example.org/", proxy="@url@", ssl=trust)
""",
    ),
    Program("curl", "curl -x @url@ --cacert @pem@ https://example.org/"),
    Program(
        "git",
        "GIT_SSL_CAINFO=$PWD/@pem@ git -c http.proxy=@url@ clone https://example.org/x.git",
    ),
    Program("pip", "pip install --proxy @url@ --cert @pem@ PACKAGE"),
    Program(
        "Node",
        r"""
NODE_EXTRA_CA_CERTS=@pem@ NODE_USE_ENV_PROXY=1 HTTP_PROXY=@url@ HTTPS_PROXY=@url@ \
    node program.js
""",
        "`NODE_USE_ENV_PROXY` came with Node 22.21 and 24; in older ones a program needs undici's "
        "ProxyAgent.",
    ),
    Program(
        "Java",
        r"""
keytool -importcert -noprompt -alias nbproxy -file @pem@ \
    -keystore nbproxy.p12 -storepass changeit
java -Djavax.net.ssl.trustStore=nbproxy.p12 -Djavax.net.ssl.trustStorePassword=changeit \
    -Dhttp.proxyHost=@host@ -Dhttp.proxyPort=@port@ \
    -Dhttps.proxyHost=@host@ -Dhttps.proxyPort=@port@ -jar program.jar
""",
    ),
    Program(
        "Go",
        "SSL_CERT_FILE=@pem@ HTTP_PROXY=@url@ HTTPS_PROXY=@url@ ./program",
        "On Windows and macOS Go asks the system, see above.",
    ),
)

FORMATS: tuple[tuple[str, str], ...] = (
    ("pem", "PEM: Linux, macOS, Firefox, programs"),
    ("cer", "DER: Windows"),
    ("crt", "DER: Android"),
    ("p12", "PKCS #12, no password: for what takes nothing else"),
    ("mobileconfig", "profile: iPhone, iPad, macOS"),
)
"""The downloads, each with what it is for."""
