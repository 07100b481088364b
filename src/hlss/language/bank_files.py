"""Banks to files."""

from pathlib import Path

import yaml

from hlss.files import replacing
from hlss.language.bank import DescriptionBank


def write_bank(path: Path, bank: DescriptionBank) -> None:
    """Write `bank` as YAML that people read and `read_bank` reads again, whole or not at all. Raises UserError where it
    cannot be written.
    """
    tree = bank.model_dump(mode="json", exclude_defaults=True)
    with replacing(Path(path)) as temporary:
        temporary.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
