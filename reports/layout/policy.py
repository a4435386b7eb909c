"""What a page may do, as a Content-Security-Policy that the browser enforces: nothing leaves it, nothing comes in.

Pictures as data URLs and inline styles are allowed; of scripts only the one whose hash is named, if any.
https://www.w3.org/TR/CSP3/
"""

import base64
import hashlib

NO_SCRIPT = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def script_policy(script: str) -> str:
    """The policy of a page with this one inline script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"{NO_SCRIPT}; script-src 'sha256-{digest}'"
