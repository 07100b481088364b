"""How `tiny`, the CLIP that comes with hlss, is trained and judged: drawn tissue, captions of its true factors."""
