"""The small CLIP of our own."""

from hlss.encoders.clip_towers import ClipImageEncoder
from hlss.encoders.tiny import Tiny


def test_it_is_small_and_says_that_its_weights_are_random():
    spec = Tiny()
    encoder = spec.build()
    assert isinstance(encoder, ClipImageEncoder)
    assert sum(p.numel() for p in encoder.parameters()) < 5e6
    assert (encoder.input_px, encoder.dim, spec.text().build().dim) == (96, 128, 128)
    assert any("random weights" in notice for notice in spec.notices)
    assert spec.text().notices == spec.notices


def test_stages_hold_every_module_once_in_order():
    encoder = Tiny().build()
    found = [id(p) for stage in encoder.stages() for module in stage for p in module.parameters()]
    assert found == [id(p) for module in encoder.visual.children() for p in module.parameters()]
    assert len(encoder.stages()) == 6
