"""Throw-away profiles of browsers: through the proxy, trusting its CA, and otherwise silent.

What a browser does on its own account (updates, lists of bad sites, suggestions, telemetry, pages
of welcome) is switched off, or led to a host that does not exist, past the proxy: the table of
flows then shows what its user does. The names of flags and preferences are the browsers' own and
change over the years; those that a browser does not know do nothing.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from nbproxy.certs.browsers import key_hash, write_firefox_store

if TYPE_CHECKING:
    from pathlib import Path

    from nbproxy.certs.ca import CertificateAuthority

# RFC 2606, 2: nothing has such a name
_NOWHERE: Final = "nbproxy.invalid"

_CHROMIUM_FEATURES: Final = (
    "AutofillServerCommunication",
    "CaptivePortalCheck",
    "CertificateTransparencyComponentUpdater",
    "DialMediaRouteProvider",
    "HttpsUpgrades",
    "InterestFeedContentSuggestions",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationGuideModelDownloading",
    "OptimizationHints",
    "Translate",
)
_CHROMIUM: Final = (
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--no-service-autorun",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-extensions-with-background-pages",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-default-apps",
    "--disable-dev-shm-usage",  # a container's /dev/shm is often too small
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-field-trial-config",
    "--disable-quic",  # runs over UDP, past any proxy
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    "--metrics-recording-only",
    "--password-store=basic",
    "--use-mock-keychain",
    "--disable-features=" + ",".join(_CHROMIUM_FEATURES),
    f"--gaia-url=https://{_NOWHERE}",
    f"--component-updater=url-source=https://{_NOWHERE}/",
    f"--apps-gallery-update-url=https://{_NOWHERE}/",
)
_CHROMIUM_PREFERENCES: Final[dict[str, Any]] = {
    "alternate_error_pages": {"enabled": False},
    "autofill": {"enabled": False, "profile_enabled": False, "credit_card_enabled": False},
    "browser": {"check_default_browser": False, "enable_spellchecking": False},
    "credentials_enable_service": False,
    "net": {"network_prediction_options": 2},
    "safebrowsing": {"enabled": False},
    "search": {"suggest_enabled": False},
    "signin": {"allowed": False},
    "spellcheck": {"dictionaries": [], "use_spelling_service": False},
    "translate": {"enabled": False},
}
_CHROMIUM_STATE: Final[dict[str, Any]] = {
    "dns_over_https": {"mode": "off"},
    "network_time": {"network_time_queries_enabled": False},
    "user_experience_metrics": {"reporting_enabled": False},
}

# Asked by Firefox itself, whatever its preferences are, and by nobody else.
_MOZILLA: Final = (
    "firefox.settings.services.mozilla.com",
    "firefox-settings-attachments.cdn.mozilla.net",
    "content-signature-2.cdn.mozilla.net",
)
_FIREFOX: Final[dict[str, bool | int | str]] = {
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "browser.aboutwelcome.enabled": False,
    "browser.discovery.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.newtabpage.activity-stream.feeds.system.topsites": False,
    "browser.newtabpage.activity-stream.feeds.system.topstories": False,
    "browser.newtabpage.activity-stream.newtabWallpapers.enabled": False,
    "browser.newtabpage.activity-stream.showSponsored": False,
    "browser.newtabpage.activity-stream.showSponsoredTopSites": False,
    "browser.newtabpage.activity-stream.unifiedAds.adsFeed.enabled": False,
    "browser.newtabpage.activity-stream.unifiedAds.spocs.enabled": False,
    "browser.newtabpage.activity-stream.unifiedAds.tiles.enabled": False,
    "browser.preonboarding.enabled": False,
    "browser.region.network.url": "",
    "browser.region.update.enabled": False,
    "browser.safebrowsing.blockedURIs.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "browser.search.suggest.enabled": False,
    "browser.search.update": False,
    "browser.sessionstore.resume_from_crash": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "browser.topsites.contile.enabled": False,
    "browser.translations.enable": False,
    "browser.urlbar.merino.enabled": False,
    "browser.urlbar.quicksuggest.enabled": False,
    "browser.urlbar.suggest.searches": False,
    "captivedetect.canonicalURL": "",
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "datareporting.usage.uploadEnabled": False,
    "dom.push.connection.enabled": False,
    "dom.push.serverURL": "",
    "dom.security.https_first": False,
    "dom.security.https_first_schemeless": False,
    "extensions.blocklist.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "identity.fxaccounts.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-manager.url": "",
    "messaging-system.rsexperimentloader.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.http.connection-retry-timeout": 0,  # no second connection in case the first is slow
    "network.http.http3.enable": False,
    "network.http.speculative-parallel-limit": 0,
    "network.predictor.enabled": False,
    "network.prefetch-next": False,
    "network.trr.mode": 5,
    "nimbus.rollouts.enabled": False,
    "security.OCSP.enabled": 0,
    "security.certerrors.mitm.priming.enabled": False,
    "services.settings.server": f"https://{_NOWHERE}/v1",
    "signon.rememberSignons": False,
    "startup.homepage_welcome_url": "",
    "termsofuse.bypassNotification": True,
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "toolkit.telemetry.server": "",
    "toolkit.telemetry.unified": False,
}


def chromium(
    profile: Path, proxy_url: str, ca: CertificateAuthority, *, headless: bool
) -> list[str]:
    """Fill a new profile of Chromium or its kin.

    Args:
        profile: Its folder.
        proxy_url: The proxy's address.
        ca: Its CA.
        headless: Whether there is to be no window.

    Returns:
        The arguments to start it with, but for the page.
    """
    (profile / "Default").mkdir()
    (profile / "Default" / "Preferences").write_text(json.dumps(_CHROMIUM_PREFERENCES))
    (profile / "Local State").write_text(json.dumps(_CHROMIUM_STATE))
    arguments = [
        f"--user-data-dir={profile}",
        f"--proxy-server={proxy_url}",
        f"--proxy-bypass-list=<-loopback>;{_NOWHERE}",
        f"--ignore-certificate-errors-spki-list={key_hash(ca)}",
        *_CHROMIUM,
    ]
    if headless:
        arguments.append("--headless=new")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")  # as root it does not start with one
    return arguments


def firefox(
    profile: Path, proxy_url: str, ca: CertificateAuthority, *, headless: bool
) -> list[str]:
    """Fill a new profile of Firefox; as `chromium`."""
    address = urlsplit(proxy_url)
    preferences: dict[str, bool | int | str] = {
        **_FIREFOX,
        "network.proxy.type": 1,
        "network.proxy.http": address.hostname or "",
        "network.proxy.http_port": address.port or 80,
        "network.proxy.ssl": address.hostname or "",
        "network.proxy.ssl_port": address.port or 80,
        "network.proxy.allow_hijacking_localhost": True,
        "network.proxy.no_proxies_on": ", ".join((_NOWHERE, *_MOZILLA)),
    }
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in preferences.items()]
    (profile / "user.js").write_text("".join(lines))
    write_firefox_store(ca, profile)
    arguments = ["--no-remote", "--new-instance", "--profile", str(profile)]
    return [*arguments, "--headless"] if headless else arguments
