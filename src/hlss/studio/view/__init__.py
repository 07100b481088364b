"""The web app in which slides are looked at, and what an encoder sees on them."""
