"""Drafting of a description bank by a language model: what it says is data, recorded, checked, never obeyed."""
