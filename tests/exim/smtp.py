# SPDX-License-Identifier: MIT
"""The demo's SMTP server, on request with STARTTLS.

Usage: receiver.py PORT LOG SERVERS [CERTIFICATE-AND-KEY]    as tools/demo.d/receiver.py
"""

import functools
import os
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../tools/demo.d"))
import receiver  # noqa: E402, found in that folder

if __name__ == "__main__":
    if len(sys.argv) > 4:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[4])
        receiver.SMTP = functools.partial(receiver.SMTP, tls_context=context)
    receiver.main()
