"""The expert's decisions about a bank: an append-only log, and what follows from it."""
