"""Hosts: how much went there, how it was answered, how the connections are secured.

Counted on the frame, for all flows. What only flows know (TLS, certificates) is read of a few flows
of each host, the newest ones among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from nbproxy.analysis import grouping
from nbproxy.analysis.frames import Pictured, pictured
from nbproxy.analysis.samples import evenly, flows_at, members_of, per_group

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    import numpy.typing as npt

    from nbproxy.analysis.contract import FlowsLike
    from nbproxy.model.connection import Server

_SAMPLES: Final = 12  # flows of a host that are asked how its connections are secured
_NEWEST: Final = 3  # of them, the last ones
_MAX_NAMES: Final = 8  # addresses of a host that are named


class Hosts(Pictured):
    """See `hosts`."""

    _drawn = "hosts"


def hosts(flows: FlowsLike) -> Hosts:
    """The frame; see `nbproxy.analysis.methods.Analysis.hosts`."""
    df = flows.df
    codes, names = pd.factorize(df["host"], use_na_sentinel=False)
    count = len(names)
    total = grouping.counts(codes, count)
    members = members_of(codes, count)
    times = df["time"]
    columns: dict[str, Any] = {
        "count": total,
        **grouping.status_mix(codes, count, df["status"]),
        "failed": grouping.sums(codes, count, df["error"].notna()),
        "request_bytes": grouping.sums(codes, count, df["request_bytes"]),
        "response_bytes": grouping.sums(codes, count, df["response_bytes"]),
        **grouping.percentiles(codes, count, df["duration"]),
        "first": times.groupby(codes).min().reindex(range(count)).array,
        "last": times.groupby(codes).max().reindex(range(count)).array,
        "ports": _listed(df["port"].astype(str), codes, count),
        "http": _listed(df["http_version"], codes, count),
        "addresses": _listed(df["server"], codes, count),
        **_security(flows, df.index.to_numpy(), members),
    }
    order = np.argsort(-total, kind="stable")
    index = pd.Index([str(names[i]) for i in order], name="host", dtype=grouping.TEXT)
    made: Hosts = pictured(Hosts, {k: v[order] for k, v in columns.items()}, index)
    return made


def _listed(column: pd.Series[Any], codes: npt.NDArray[np.int64], groups: int) -> Any:
    """The different values of each group in one text, the most frequent first."""
    table = pd.DataFrame({"group": codes, "value": column.to_numpy(dtype=object)}).dropna()
    found: list[list[str]] = [[] for _ in range(groups)]
    for group, value in table.value_counts(sort=True).index:
        found[group].append(str(value))
    return pd.array([_joined(values) for values in found], dtype=grouping.TEXT)


def _joined(values: list[str]) -> str:
    rest = len(values) - _MAX_NAMES
    more = f", and {rest:,} more" if rest > 0 else ""
    return ", ".join(values[:_MAX_NAMES]) + more


def _security(
    flows: FlowsLike, ids: npt.NDArray[Any], members: list[npt.NDArray[np.int64]]
) -> dict[str, Any]:
    """TLS versions, ciphers and the newest certificate of each host."""
    each = per_group(_SAMPLES, len(members))
    versions, ciphers, expiries, issuers, verified = [], [], [], [], []
    for rows in members:
        chosen = np.union1d(evenly(rows, max(1, each - _NEWEST)), rows[-_NEWEST:])
        servers = [flow.server_conn for flow in flows_at(flows, ids[chosen])]
        secured = [server for server in servers if server.tls_version]
        versions.append(_names(server.tls_version for server in secured))
        ciphers.append(_names(server.cipher for server in secured))
        verified.append(all(server.verified for server in secured) if secured else None)
        expiry, issuer = _certificate(servers)
        expiries.append(expiry)
        issuers.append(issuer)
    return {
        "tls": pd.array(versions, dtype=grouping.TEXT),
        "cipher": pd.array(ciphers, dtype=grouping.TEXT),
        "verified": pd.array(verified, dtype="boolean"),
        "certificate_expires": pd.Series(expiries, dtype="datetime64[us, UTC]").array,
        "certificate_issuer": pd.array(issuers, dtype=grouping.TEXT),
    }


def _names(values: Iterable[str | None]) -> str | None:
    return ", ".join(dict.fromkeys(str(value) for value in values if value)) or None


def _certificate(servers: list[Server]) -> tuple[dt.datetime | None, str | None]:
    """When the newest certificate seen expires, and who issued it."""
    from nbproxy.certs.certificate import describe  # noqa: PLC0415 - with cryptography, slow

    for server in reversed(servers):
        if server.certificate_list:
            facts = describe(server.certificate_list[0])
            issuer = dict(reversed(list(_pairs(facts["issuer"]))))
            expires: Any = facts["notafter"]
            return expires, issuer.get("O") or issuer.get("CN")
    return None, None


def _pairs(value: Any) -> list[tuple[str, str]]:
    return list(value)
