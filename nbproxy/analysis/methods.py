"""The methods that views of flows have for analysis: signatures and documentation.

What they do is in the other modules of this room, which are loaded when a method is called: pandas
takes longer to import than the rest of nbproxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from nbproxy.analysis.contract import FlowsLike
    from nbproxy.analysis.diff import Differences
    from nbproxy.analysis.endpoints import Endpoints
    from nbproxy.analysis.failures import Errors
    from nbproxy.analysis.hosts import Hosts
    from nbproxy.analysis.openapi import OpenAPI
    from nbproxy.analysis.timeline import Timeline


class Analysis:
    """What `Flows` can say about its flows together; a part of it, not to be made alone.

    All methods read only, and work on what is there when they are called. All but `sql` and
    `to_openapi` give a DataFrame that notebooks show with a picture above; `.plot()` draws that
    picture with matplotlib (`.plot(backend="altair")` with altair), and what is made of the frame
    is a plain DataFrame. May be called from any thread.
    """

    def timeline(self: FlowsLike) -> Timeline:
        """When what happened: flows by connection, with the phases of their time.

        Returns:
            A DataFrame, a row for each flow, indexed by its id, ordered by connection and time. All
            times are seconds; NaN stands for what did not happen or is not known.

            - `connection`: the connection to the server, counted from 1 in the order of use; <NA>
              for what no server was asked. `reused`: whether an earlier flow here opened it.
            - `method host path status server error`: as in `df`.
            - `start`: when the request's first byte came, counted from the first moment here.
            - `opened`: when the proxy began to open the connection; only with the first flow here
              that used it, as `connect` and `tls`. That may be before `start`.
            - `connect`: name look-up (which is not known apart) and TCP. `tls`: the handshake with
              the server. `send`: from the request's first byte to its last. `wait`: until the
              response's first byte. `transfer`: until its last.
            - `duration`: from `start` to the response's last byte, or to the failure.

        Example:
            >>> nbproxy.flows.filter("~d api")[-20:].timeline()  # doctest: +SKIP
        """
        from nbproxy.analysis.timeline import timeline  # noqa: PLC0415 - see the module

        return timeline(self)

    def endpoints(self: FlowsLike, *, samples: int = 20) -> Endpoints:
        """Which endpoints there are: `/users/17` and `/users/42` are both `/users/{id}`.

        Ids, UUIDs, dates, digests and tokens in paths are found by their looks, other values by
        their number: a long tail of names that are alike becomes `{slug}`.

        Args:
            samples: Of how many requests and responses of each endpoint the JSON is read; of very
                many endpoints fewer.

        Returns:
            A DataFrame, a row for each endpoint, those with the most flows first:

            - `method scheme host port template`: what it is.
            - `count`, and of it `1xx 2xx 3xx 4xx 5xx unanswered`; `failed`: flows with an error.
            - `p50 p95 p99`: percentiles of the duration, in seconds.
            - `request_bytes response_bytes`: bodies as sent, all together.
            - `query`: the names of parameters in queries, most frequent first.
            - `request_schema response_schema`: JSON Schemas (dicts) of the JSON that was read, of
              answers with 2xx if there were any; None if there was none. Besides the usual they
              have `x-null-rate` and, for optional fields, `x-presence`. `request_samples
              response_samples`: how many bodies they were made of.

            `.fields()` is a DataFrame of all JSON fields with type, null rate and presence.

        Example:
            >>> nbproxy.flows.endpoints().nlargest(5, "p95")  # doctest: +SKIP
        """
        from nbproxy.analysis.endpoints import endpoints  # noqa: PLC0415 - see the module

        return endpoints(self, _positive(samples))

    def to_openapi(
        self: FlowsLike,
        *,
        title: str | None = None,
        version: str = "1.0.0",
        samples: int = 20,
    ) -> OpenAPI:
        """An OpenAPI 3.1 document of what was seen.

        It has paths, parameters of paths and queries with types and examples, bodies, answers by
        status with JSON Schemas, servers, and security schemes (bearer, basic, digest, keys in
        headers, queries and cookies). Values of bodies, credentials and what looks like one are
        not in it. Methods that OpenAPI does not know (CONNECT, PROPFIND, ...) are left out.

        Args:
            title: The document's title; the host by default.
            version: The version of the API.
            samples: How many flows of each endpoint and status are read.

        Returns:
            A dict, with `.to_yaml()`, `.to_json()` and `.save("api.yaml")`.

        Example:
            >>> nbproxy.flows.filter("~d api").to_openapi().save("api.yaml")  # doctest: +SKIP
        """
        from nbproxy.analysis.openapi import openapi  # noqa: PLC0415 - see the module

        return openapi(self, title, version, _positive(samples))

    def hosts(self: FlowsLike) -> Hosts:
        """Which hosts there are.

        Returns:
            A DataFrame, indexed by `host`, those with the most flows first:

            - `count 1xx 2xx 3xx 4xx 5xx unanswered failed`, `request_bytes response_bytes` and
              `p50 p95 p99` as in `endpoints`.
            - `first last`: when the first and the last request began, UTC.
            - `ports http addresses`: ports, versions of HTTP spoken by clients, and addresses
              connected to; the most frequent first.
            - `tls cipher verified certificate_expires certificate_issuer`: how connections to it
              are secured, as far as some of its flows show. `verified` is <NA> without TLS.
        """
        from nbproxy.analysis.hosts import hosts  # noqa: PLC0415 - see the module

        return hosts(self)

    def errors(self: FlowsLike) -> Errors:
        """What went wrong: flows that failed, and answers of 400 and above, alike ones together.

        Returns:
            A DataFrame, the most frequent first:

            - `kind`: "status" for an answer; for a failure where it was: "connect", "tls",
              "server", "client", or "killed" by a handler.
            - `host`, `endpoint` ("GET /users/{id}"; of a failure how many, if several), `status`.
            - `cause`: the message of the failure, or the status and what the newest answer says
              about it. Secrets in it are masked.
            - `count`, and `share` of the flows of that endpoint, or of that host for a failure.
            - `first last`: when, UTC. `flows`: ids of the newest five, for `flows.by_id(...)`.
        """
        from nbproxy.analysis.failures import errors  # noqa: PLC0415 - see the module

        return errors(self)

    def diff(
        self: FlowsLike,
        other: FlowsLike,
        ignore: str | Iterable[str] = (),
        *,
        hosts: bool | None = None,
    ) -> Differences:
        """What is different in other flows: these are before, the others after.

        Args:
            other: Live or saved flows, such as `nbproxy.open("after.har")`.
            ignore: JSON paths (`"$.ts"`, `"$.items[*].etag"`: that place and all below it, in
                requests and responses), and names of header fields, to leave out.
            hosts: Whether hosts are part of endpoints. By default they are not if each side has
                one origin only, or the two have none in common: staging and production.

        Returns:
            A DataFrame with the columns `kind endpoint what before after`. What `kind` says:

            - "new", "gone": an endpoint that only one side has; counts.
            - "status": a status that only one side has (counts), or another status for the same
              request.
            - "added", "removed": a field of JSON (its types) or of queries (counts).
            - "type": a field of JSON with other types.
            - "value", "length": another value, or number of items, in the answer to the same
              request (method, path, query and body); only what is the same in all such answers of
              one side is compared. `what` is the JSON path; "request $..." is of requests.
            - "header": a header field of answers that came, went or changed; only those that are
              the same in all answers of a side.
            - "latency": the median duration in seconds, from five answers on each side, if it is
              half as much again and 10 ms more than the other.

            Secrets in `before` and `after` are masked, equal ones alike.

        Raises:
            ValueError: A JSON path in `ignore` does not parse.

        Example:
            >>> nbproxy.open("monday.har").diff(nbproxy.flows, ignore=["$.ts"])  # doctest: +SKIP
        """
        from nbproxy.analysis.diff import diff  # noqa: PLC0415 - see the module

        return diff(self, other, ignore, hosts)

    def sql(
        self: FlowsLike,
        query: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        secrets: Literal["mask", "keep"] = "mask",
    ) -> pd.DataFrame:
        """Ask in SQL, by DuckDB: `pip install 'nbproxy[sql]'`.

        Three tables: `flows` (`id` and the columns of `df`); `headers` (`flow message name value`,
        names in lower case, `message` is "request" or "response"); `bodies` (`flow message
        content_type bytes text`, `text` is NULL for what is none). Nothing else can be reached: no
        files, no network, no variables; and nothing can be changed.

        Args:
            query: One SELECT.
            parameters: Values for `?` or `$name` in it.
            secrets: "mask" gives credentials and cookies in `headers` as masks, equal ones alike;
                "keep" as they are. Paths and bodies are as they are.

        Returns:
            A plain DataFrame.

        Raises:
            ImportError: DuckDB is not installed.
            ValueError: It is not one SELECT.
            duckdb.Error: It is not good SQL.

        Example:
            >>> nbproxy.flows.sql("select avg(ttfb) from flows where port = 443")  # doctest: +SKIP
        """
        from nbproxy.analysis.sql import sql  # noqa: PLC0415 - see the module

        __tracebackhide__ = True
        return sql(self, query, parameters, secrets)


def _positive(samples: int) -> int:
    if samples < 1:
        raise ValueError(f"samples is 1 or more, not {samples!r}")
    return samples
