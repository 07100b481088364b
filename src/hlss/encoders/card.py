"""The model card of an exported tower: what is on record of it, in words; nothing else."""

from collections.abc import Mapping
from typing import Any

_LOADING = {
    "open_clip": """import open_clip

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:FOLDER")  # or "hf-hub:OWNER/NAME"
features = model.encode_image(preprocess(image).unsqueeze(0))""",
    "timm": """import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()  # or "hf-hub:OWNER/NAME"
features = model(pixels)  # normalised as `pretrained_cfg` in config.json says""",
    "hlss": """from hlss.encoders.exported import Exported

encoder = Exported(folder="FOLDER").build()
features = encoder(encoder.normalised(pixels))""",
}
_NOTES = {
    "open_clip": "The image tower is the trained one. The text tower is the one it was trained with: hlss trains none.",
    "timm": "Where the tower ends in a projection, it is the classifier of the timm model.",
    "hlss": "This tower is of no other library's kind: hlss alone loads it.",
}
_ROWS = (
    ("method", "Method"),
    ("tower", "Image tower"),
    ("start", "Weights it started from"),
    ("cohort", "Cohort"),
    ("data_hash", "Hash of the cohort"),
    ("fold", "Fold of the split"),
    ("views", "Views"),
    ("bank", "Description bank"),
    ("bank_fingerprint", "Hash of the bank"),
    ("bank_status", "Review of the bank"),
    ("objective", "Objective"),
    ("steps", "Steps of the run"),
    ("checkpoint", "Checkpoint"),
    ("seed", "Seed"),
    ("precision", "Precision"),
    ("config_hash", "Hash of the settings"),
    ("code_version", "Version of hlss"),
    ("torch", "Version of torch"),
    ("time", "Training began"),
)
_LIMITS = (
    "- For research on representations of histopathology images. It is no medical device; nothing here was evaluated"
    " for diagnosis.",
    "- It has learnt from the cohort above. How it does on other scanners, stains, organs or sites is not recorded"
    " here: measure it.",
    "- No licence is stated here: that of the weights it started from, and the terms of the cohort, go on to hold.",
)
_UNREVIEWED = (
    "- The descriptions in the bank are **unreviewed**: no pathologist has verified them."
    " What the features are near to in words is no finding."
)


def model_card(name: str, library: str, dim: int, input_px: int, facts: Mapping[str, Any]) -> str:
    """README.md of a folder. facts: what is on record, by the names of _ROWS; what is missing is said to be so.

    `notices` among them: sentences that the run said of itself.
    """
    takes = f"{input_px} × {input_px} px, RGB" if input_px else "stored features"
    rows = "\n".join(f"| {title} | {_cell(facts.get(key))} |" for key, title in _ROWS)
    said = [f"- {notice}" for notice in facts.get("notices") or ()]
    unreviewed = [_UNREVIEWED] if facts.get("bank_status") == "unreviewed" else []
    limits = "\n".join([*_LIMITS, *unreviewed, *said])
    return f"""---
library_name: {library}
tags:
- histopathology
- hlss
---
# {name}

An image encoder for histopathology, trained by hlss (method: [arXiv 2403.14616](https://arxiv.org/abs/2403.14616)).
It takes {takes} and gives {dim} numbers, not normalised.

## Use

```python
{_LOADING[library]}
```

{_NOTES[library]}
hlss takes it up again by `encoder: {{name: exported, folder: FOLDER}}`.

## What it was made of

| | |
|---|---|
{rows}

## Intended use and limits

{limits}
"""


def _cell(value: Any) -> str:
    text = "not recorded" if value in (None, "") else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
