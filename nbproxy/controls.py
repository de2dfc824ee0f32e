"""What a proxy can be told in one line: hold this, answer that from here, send those elsewhere.

`Controls` is the part of `Proxy` that has these orders. Each makes a rule (`nbproxy.addons.rules`),
gives it back as a handle with `off()`, and is made of handlers like those of `on`: in a notebook it
belongs to its cell, and running the cell again replaces it. All may be called from any thread.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from nbproxy.errors import ConfigError
from nbproxy.handlers.handler import Source

if TYPE_CHECKING:
    import concurrent.futures
    import os
    import re
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from nbproxy.addons.blocking import Block
    from nbproxy.addons.mapping import MapLocal, MapRemote
    from nbproxy.addons.modifying import ModifyBody, ModifyHeaders
    from nbproxy.addons.rules import Rule
    from nbproxy.addons.server_replay import ReplayServer
    from nbproxy.addons.throttling import Throttle
    from nbproxy.cassettes import Cassette
    from nbproxy.engine.engine import Engine
    from nbproxy.engine.runner import LoopRunner
    from nbproxy.handlers.registry import Registry
    from nbproxy.holding import Intercept, Intercepts
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.options import Options

MESSAGES = ("request", "response")

_OF_OPTIONS: Final = {
    "map_local": ("nbproxy.addons.mapping", "MapLocal"),
    "map_remote": ("nbproxy.addons.mapping", "MapRemote"),
    "modify_headers": ("nbproxy.addons.modifying", "ModifyHeaders"),
    "modify_body": ("nbproxy.addons.modifying", "ModifyBody"),
    "block_list": ("nbproxy.addons.blocking", "Block"),
}
"""The rules that options ask for; their modules are imported when somebody sets one."""


class Controls:
    """The one-line orders of a proxy.

    Attributes:
        handlers: Where rules register.
        runner: Where the proxy's loop lives; None before it starts.
        intercepts: The flows that are held, and what lets them go.
    """

    handlers: Registry
    options: Options
    runner: LoopRunner | None
    intercepts: Intercepts
    _engine: Engine | None
    _of_options: dict[str, tuple[tuple[str, ...], Rule]]

    # -- options

    def _follow_options(self) -> None:
        """Make the rules that options ask for, now and whenever one of these changes.

        Raises:
            ConfigError: A pattern is none.
        """
        self._of_options = {}
        for name in _OF_OPTIONS:
            self._rules_changed(name, getattr(self.options, name))
        self.options.on_change(self._rules_changed)

    def _rules_changed(self, name: str, specs: Any) -> None:
        if name not in _OF_OPTIONS:
            return
        old = self._of_options.get(name)
        rule: Rule | None = None
        if specs:
            module, kind = _OF_OPTIONS[name]
            try:
                rule = getattr(import_module(module), kind).of_specs(specs)
            except (ValueError, OSError) as error:
                vars(self.options)[name] = old[0] if old is not None else ()
                raise ConfigError(f"{name}: {error}") from None
        if old is not None:
            del self._of_options[name]
            old[1].off()
        if rule is not None:
            rule.attach(self.handlers, Source("addon", name, name))
            self._of_options[name] = specs, rule

    # -- holding

    def intercept(
        self,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
        *,
        on: str | Iterable[str] = MESSAGES,
        timeout: float | None = None,
    ) -> Intercept:
        """Hold the flows that match, until somebody lets each of them go.

        A held flow can be changed: `flow.request.text = ...; flow.resume()`, or `flow.kill()`.
        `intercepts` has them all, with `resume_all()` and `answer(flow, response)`. Other flows are
        not held up. Responses above `stream_large_bodies` and event streams cannot be held.

        Args:
            filter: Which flows; None for all.
            on: "request", "response", or both: where they are held.
            timeout: Seconds after which a flow goes on unchanged, which is said under this cell;
                None for the option `intercept_timeout`, which is 60.

        Returns:
            A handle; its `off()` lets what it holds go on.

        Raises:
            FilterError: The filter does not parse.
            ValueError: Another argument makes no sense.

        Example:
            >>> nbproxy.intercept("~m POST & ~u login", on="request")  # doctest: +SKIP
        """
        from nbproxy.holding import Intercept  # noqa: PLC0415 - as all here, seldom needed

        __tracebackhide__ = True  # IPython then shows the user's line, not ours
        return Intercept(self.intercepts, filter, on, timeout).attach(self.handlers)

    def next(
        self,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
        *,
        on: str | Iterable[str] = "request",
        timeout: float | None = 30.0,
        hold: float | None = None,
    ) -> Coroutine[Any, Any, HTTPFlow]:
        """Wait for the next flow that matches, and have it held: `flow = await nbproxy.next(...)`.

        It is waited for from the moment of the call. The flow stays held until `flow.resume()` or
        `flow.kill()`; others that match pass.

        Args:
            filter: Which flow; None for any.
            on: "request" or "response": where it is held; with both, where it matches first.
            timeout: Seconds to wait for it; None for ever. One that is not awaited holds nothing
                after that time, as nobody would get the flow.
            hold: Seconds after which it goes on unchanged; None for the option
                `intercept_timeout`, which is 60.

        Returns:
            What to await, once, on any event loop; it gives the flow.

        Raises:
            FilterError: The filter does not parse.
            TimeoutError: When awaited: none came in time.
            RuntimeError: The proxy is stopped.

        Example:
            >>> flow = await nbproxy.next("~m POST", timeout=30)  # doctest: +SKIP
            >>> flow.request.text = flow.request.text.replace("1", "2")  # doctest: +SKIP
            >>> flow.resume()  # doctest: +SKIP
        """
        from nbproxy.holding import Next, check_seconds  # noqa: PLC0415 - see above

        __tracebackhide__ = True
        self._need_loop("next")
        check_seconds(timeout)
        return Next(self.intercepts, filter, on, hold).coroutine(self.handlers, timeout)

    def next_sync(
        self,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
        *,
        on: str | Iterable[str] = "request",
        timeout: float | None = 30.0,
        hold: float | None = None,
    ) -> HTTPFlow:
        """The same as `next` for code that cannot await: it blocks until the flow is there.

        The proxy goes on meanwhile, also in a notebook's cell; an interrupt ends the waiting. The
        client has to run elsewhere: in a thread, a subprocess, a browser.

        Args:
            filter: See `next`.
            on: See `next`.
            timeout: See `next`.
            hold: See `next`.

        Raises:
            FilterError: The filter does not parse.
            TimeoutError: None came in time.
            RuntimeError: The proxy is stopped, or this would wait for itself: it was called on the
                proxy's own loop, by a handler or a coroutine there.
        """
        from nbproxy.holding import Next, check_seconds  # noqa: PLC0415 - see above

        __tracebackhide__ = True
        runner = self._need_loop("next_sync")
        check_seconds(timeout)
        if runner.owns_current_thread():
            raise RuntimeError(
                "next_sync would wait for the proxy on the proxy's own event loop, and never end; "
                "use `await nbproxy.next(...)` in an `async def`, or mark the handler "
                "@nbproxy.concurrent"
            )
        return Next(self.intercepts, filter, on, hold).wait(self.handlers, timeout)

    def _need_loop(self, name: str) -> LoopRunner:
        if self.runner is None:
            raise RuntimeError(f"{name}: the proxy is stopped, so no flow can come; start() it")
        return self.runner

    # -- recordings

    def resend(self, flow: HTTPFlow) -> concurrent.futures.Future[None]:
        """Send the request of a flow that is not under way; the response is put into that flow.

        It goes through the handlers and is recorded. `flow.replay()` does this with a new flow.

        Returns:
            What is done when the flow is over; it raises nothing.

        Raises:
            RuntimeError: The proxy is stopped.
        """
        from nbproxy.engine.replay import replay  # noqa: PLC0415 - see above

        engine, runner = self._engine, self.runner  # another thread may stop the proxy meanwhile
        if engine is None or runner is None:
            raise RuntimeError("the proxy is stopped, it cannot send anything; start() it")
        return runner.submit(replay(engine.core, flow, hooks=True))

    def replay_server(
        self,
        flows: Any,
        *,
        strict: bool = False,
        ignore: str | Iterable[str] = (),
        headers: str | Iterable[str] = (),
        in_turn: bool = True,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
    ) -> ReplayServer:
        """Answer requests from recordings; their servers are not asked, nor connected to.

        A request has a recorded answer if method and URL agree, the query in any order, and the
        body: as JSON value, as form, else byte by byte.

        Args:
            flows: Flows, or the name of a file of them (or several names).
            strict: Answer what was not recorded with an error, status 502, that says what is
                different; else it passes.
            ignore: What need not agree: fields of the query, a form or the head by name
                ("timestamp"), values in a JSON body by path ("$.request.id").
            headers: Names of headers that must agree as well.
            in_turn: Give the answers to equal requests in their recorded order, and then the last
                again and again; else always the last.
            filter: Which flows are answered so; None for all.

        Returns:
            A handle that counts hits and misses, with `off()`.

        Raises:
            FilterError: The filter does not parse.
            ValueError: A name in `ignore` is no JSON path; or nothing was recorded.
            FormatError: The file is none of flows.
            OSError: It cannot be read.
        """
        from nbproxy.cassettes import replay_server  # noqa: PLC0415 - see above

        __tracebackhide__ = True
        rule = replay_server(
            flows, strict=strict, ignore=ignore, headers=headers, in_turn=in_turn, filter=filter
        )
        return rule.attach(self.handlers)

    def cassette(
        self,
        path: str | os.PathLike[str],
        mode: str = "once",
        *,
        ignore: str | Iterable[str] = (),
        headers: str | Iterable[str] = (),
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
    ) -> Cassette:
        """Record what passes the first time, and answer from the recording ever after.

        For `with` and `async with`: inside, whatever goes through the proxy is recorded into the
        file or answered from it. A block that ends with an exception writes nothing; one in which
        nothing came warns. `with nbproxy.capture(), nbproxy.cassette(path):` sends the clients of
        the block through the proxy, too.

        Args:
            path: The file; its end says the format: .nbproxy, .mitm or .har.
            mode: "once": record if there is no file, else only answer, and refuse what is not in
                it. "new": answer what is in it, pass and add the rest. "none": only answer; the
                file must be there. "all": record everything anew.
            ignore: What need not agree, see `replay_server`.
            headers: Which headers must agree, see `replay_server`.
            filter: Which flows; others pass as if there were no cassette. None for all.

        Raises:
            ValueError: There is no such mode, or a name in `ignore` is no JSON path; when entered:
                the end of the file's name says no format to record in.
            FormatError: When entered: the file is none of flows.
            OSError: When entered or left: the file cannot be read or written.

        Example:
            >>> with nbproxy.cassette("weather.mitm"):  # doctest: +SKIP
            ...     requests.get(url, proxies=nbproxy.proxies, verify=nbproxy.ca_file)
        """
        from nbproxy.cassettes import Cassette  # noqa: PLC0415 - see above

        __tracebackhide__ = True
        return Cassette(self, path, mode, ignore=ignore, headers=headers, filter=filter)

    # -- other answers, other places

    def map_local(
        self,
        url: str | re.Pattern[str],
        path: str | os.PathLike[str] | None = None,
        *,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
    ) -> MapLocal:
        """Answer requests with files, read anew each time.

        Of a folder the part of the URL behind `url` names the file (or, if `url` is a regular
        expression with a group, that group), with index.html for folders; what is not there is a
        404. Nothing outside of the folder is ever read.

        Args:
            url: The beginning of URLs; a compiled regular expression, searched in them; or, alone,
                mitmproxy's pattern `|url-regex|path` or `|filter|url-regex|path`.
            path: A file or a folder.
            filter: Which requests; None for all.

        Returns:
            A handle with `off()`.

        Raises:
            ValueError: The arguments make no sense; FilterError if a filter does not parse.
            FileNotFoundError: There is no such file or folder.

        Example:
            >>> nbproxy.map_local("https://example.org/static", "./static")  # doctest: +SKIP
            >>> nbproxy.map_local("|~m GET|example.org/main.js|~/main.js")  # doctest: +SKIP
        """
        from nbproxy.addons.mapping import MapLocal  # noqa: PLC0415 - see above

        __tracebackhide__ = True
        return MapLocal.of(url, path, filter).attach(self.handlers)

    def map_remote(
        self,
        url: str | re.Pattern[str],
        to: str | None = None,
        *,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
    ) -> MapRemote:
        r"""Send requests elsewhere: part of their URL is replaced; the Host field follows.

        Args:
            url: The beginning of URLs; a compiled regular expression, whose matches are replaced;
                or, alone, mitmproxy's pattern `|url-regex|replacement` or
                `|filter|url-regex|replacement`.
            to: The beginning of the new URL, or the replacement, where `\1` is a group.
            filter: Which requests; None for all.

        Returns:
            A handle with `off()`.

        Raises:
            ValueError: The arguments make no sense; FilterError if a filter does not parse.

        Example:
            >>> nbproxy.map_remote("https://api.example.org", "http://127.0.0.1:8000")
            ... # doctest: +SKIP
        """
        from nbproxy.addons.mapping import MapRemote  # noqa: PLC0415 - see above

        __tracebackhide__ = True
        return MapRemote.of(url, to, filter).attach(self.handlers)

    def modify_headers(
        self,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
        *,
        set: Mapping[str, str | Iterable[str]] | None = None,  # noqa: A002 - the word for it
        add: Mapping[str, str | Iterable[str]] | None = None,
        remove: str | Iterable[str] = (),
        on: str | Iterable[str] = MESSAGES,
    ) -> ModifyHeaders:
        """Set, add and remove header fields of the messages that match.

        Args:
            filter: Which messages: the filter is asked about each request and each response, so
                `~q` means requests, `~s` responses. Or, alone, mitmproxy's pattern `/name/value` or
                `/filter/name/value`, where no value removes, and `@path` is a file that has it.
            set: Fields that have these values from now on, one or several each.
            add: Fields beside those that are there.
            remove: Names of fields.
            on: "request", "response", or both.

        Returns:
            A handle with `off()`.

        Raises:
            ValueError: The arguments make no sense; FilterError if a filter does not parse.
            FileNotFoundError: There is no such file.

        Example:
            >>> nbproxy.modify_headers("~d example.org & ~q", set={"x-debug": "1"},
            ...                        remove=["cookie"])  # doctest: +SKIP
        """
        from nbproxy.addons.modifying import ModifyHeaders  # noqa: PLC0415 - see above

        __tracebackhide__ = True
        return ModifyHeaders.of(filter, set or {}, add or {}, remove, on).attach(self.handlers)

    def modify_body(
        self,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
        pattern: str | bytes | re.Pattern[Any] | None = None,
        replacement: str | bytes | Callable[[re.Match[bytes]], bytes] | None = None,
        *,
        on: str | Iterable[str] = MESSAGES,
    ) -> ModifyBody:
        r"""Replace what a regular expression finds in bodies, content codings removed.

        Bodies above `stream_large_bodies` and event streams pass unchanged.

        Args:
            filter: Which messages, as for `modify_headers`. Or, alone, mitmproxy's pattern
                `/regex/replacement` or `/filter/regex/replacement`, where `@path` as replacement
                is a file that has it.
            pattern: A regular expression over the body's bytes; `.` matches line ends too.
            replacement: What takes its place, where `\1` is a group; or a function of the match.
            on: "request", "response", or both.

        Returns:
            A handle with `off()`.

        Raises:
            ValueError: The arguments make no sense; FilterError if a filter does not parse.
            FileNotFoundError: There is no such file.

        Example:
            >>> nbproxy.modify_body("~s & ~t html", "https:", "http:")  # doctest: +SKIP
        """
        from nbproxy.addons.modifying import ModifyBody  # noqa: PLC0415 - see above

        __tracebackhide__ = True
        return ModifyBody.of(filter, pattern, replacement, on).attach(self.handlers)

    def block(
        self,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
        status: int | None = None,
    ) -> Block:
        """Answer requests with an error, without asking their server.

        Args:
            filter: Which requests; None for all. Or, alone, mitmproxy's pattern `:filter:status`.
            status: The status, 403 by default; 444 hangs up without an answer.

        Returns:
            A handle with `off()`.

        Raises:
            ValueError: There is no such status; FilterError if the filter does not parse.

        Example:
            >>> nbproxy.block("~d ads.example")  # doctest: +SKIP
        """
        from nbproxy.addons.blocking import Block  # noqa: PLC0415 - see above

        __tracebackhide__ = True
        return Block.of(filter, status).attach(self.handlers)

    def throttle(
        self,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
        *,
        latency: float | tuple[float, float] | None = None,
        bandwidth: float | None = None,
        fail: float | None = None,
        status: int | None = None,
        seed: int | None = None,
    ) -> Throttle:
        """Make the network slow, narrow or unreliable for some requests; others do not wait.

        Args:
            filter: Which requests; None for all.
            latency: Seconds that each request waits before it goes on; two numbers for a time
                between them.
            bandwidth: Bytes per second at which response bodies pass, and request bodies that are
                streamed.
            fail: The probability that a request fails, 0 to 1; 1 if only `status` is given.
            status: What the failing ones are answered with; None breaks their connection.
            seed: For the same course of chance each time.

        Returns:
            A handle with `off()`.

        Raises:
            ValueError: A number makes no sense; FilterError if the filter does not parse.

        Example:
            >>> nbproxy.throttle("~u /api/", latency=(0.1, 0.5), fail=0.1, status=503)
            ... # doctest: +SKIP
        """
        from nbproxy.addons.throttling import Throttle  # noqa: PLC0415 - see above

        __tracebackhide__ = True
        rule = Throttle(
            filter, latency=latency, bandwidth=bandwidth, fail=fail, status=status, seed=seed
        )
        return rule.attach(self.handlers)
