"""The status card, when the disk does not take what is recorded."""

import pytest

import nbproxy
from nbproxy.notebook import card
from nbproxy.store import writer
from tests.store.test_session_faults import done, file_size_limit
from tests.support.proxies import wait_until


@pytest.fixture
def proxy(tmp_path, monkeypatch):
    """One that records to a file, and does not run."""
    monkeypatch.setattr(writer, "_TICK_S", 0.05)
    monkeypatch.setattr(writer, "MAX_UNWRITTEN", 5)
    proxy = nbproxy.Proxy(port=0, confdir=tmp_path, capture=str(tmp_path / "<b>.nbproxy"))
    yield proxy
    proxy.close()


def record(proxy, count):
    for _ in range(count):
        flow = done()
        proxy.store.opened(flow)
        proxy.store.closed(flow)


@pytest.mark.filterwarnings("ignore:the capture .* file size limit:RuntimeWarning")
def test_a_disk_that_refuses_is_shown_until_it_is_over(proxy):
    record(proxy, 1)
    assert proxy.store.flush(60)
    shown = card.Status.of(proxy, is_own=True)
    assert shown.trouble() == ""
    assert ">disk<" not in card.to_html(shown)
    assert "  disk:" not in card.text(shown)
    session = proxy.store.session
    with file_size_limit(100):
        record(proxy, 1)
        wait_until(lambda: session.refusal[1] == 1)
        shown = card.Status.of(proxy, is_own=True)
        assert "  disk:   the capture " in card.text(shown)
        assert "has reached the file size limit" in card.line(shown)
        assert card.line(shown).endswith("; 1 flow waits in memory")
        assert "&lt;b&gt;.nbproxy has reached" in card.to_html(shown)
        assert ">disk<" in card.to_html(shown)
        assert "<b>.nbproxy" not in card.to_html(shown)
        record(proxy, 10)
        wait_until(lambda: session.lost >= 6 and session.refusal[1] == 5)
        text = card.Status.of(proxy, is_own=True).trouble()
        assert text.endswith("; 5 flows wait in memory; 6 flows were lost while the disk refused")
    assert proxy.store.flush(60)
    wait_until(lambda: not session.refusal[0])
    assert (
        card.Status.of(proxy, is_own=True).trouble() == "6 flows were lost while the disk refused"
    )
