"""The web app in which a pathologist reviews a bank."""
