"""Pages that are shown in the place of an app. They hold no text from outside."""

_PAGE = """<!doctype html>
<html lang="en-GB"><head><meta charset="utf-8"><title>hlss</title>{head}
<meta name="color-scheme" content="light dark">
<style>body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto; padding: 0 1.5rem }}
h1 {{ font-size: 1.4rem; font-weight: 500 }}</style></head>
<body>{body}</body></html>
"""

_ONWARD = """<script>location.replace("/" + location.hash)</script>
<noscript><meta http-equiv="refresh" content="0;url=/"></noscript>"""  # what stands behind # is never sent to a server

OPENING = _PAGE.format(head=_ONWARD, body="<p>Opening …</p>")


def closed(kept: str) -> str:
    """Of who does not have the token. kept: what became of what was done, as HTML of the app's own."""
    return _PAGE.format(
        head="",
        body=f"""<h1>Open the address that hlss printed</h1>
<p>It stands in the window in which hlss was started, and is a new one at every start. This page belongs to an earlier
start, or the address was not complete.</p>
<p>{kept}</p>""",
    )
