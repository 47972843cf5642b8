"""Has each running server offer TLS, and let nobody in without where that is required and nobody is cut off by it."""

from __future__ import annotations

from medsec.inventory import Params
from medsec.operations import postgresql


def deploy(params: Params) -> None:
    postgresql.certificates_made(name="Make key and certificate where there are none", params=params)
    postgresql.encryption_settings(name="Write the settings of TLS", params=params)
    postgresql.encryption_in_effect(
        name="Make the settings take effect, and require TLS where that is wanted", params=params
    )
