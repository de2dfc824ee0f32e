"""Reason phrases of status codes (RFC 9110, 15; IANA's registry by way of the standard library)."""

from __future__ import annotations

from http import HTTPStatus

REASONS: dict[int, str] = {status.value: status.phrase for status in HTTPStatus}
