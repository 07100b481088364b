"""The type checker of the tests: shapes and types of every call, with an int where a float is asked for allowed."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
