"""The page about the CA, at http://mitm.it/ and at the proxy's own address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbproxy.model.message import Response

if TYPE_CHECKING:
    from nbproxy.certs.ca import CertificateAuthority
    from nbproxy.model.flow import HTTPFlow


class Onboarding:
    """Answers requests for the page and for the CA's certificate."""

    def __init__(self, ca: CertificateAuthority, proxy: object) -> None:
        self.ca = ca

    def respond(self, flow: HTTPFlow) -> Response:
        """The answer to a request for one of the pages."""
        return Response.make(200, self.ca.certificate_pem, {"content-type": "application/x-pem-file"})
