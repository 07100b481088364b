import pytest

from hlss.cohorts.base import Cohort
from hlss.cohorts.write.frame import Frame, frame_of, identity, image_names, known_frame, mpp0_of
from hlss.errors import UserError


def test_images_are_called_after_their_slide_and_numbered_where_it_has_several(stored: Cohort) -> None:
    assert image_names(stored) == ("a-000", "a-001", "b", "c", "d")


def test_frames_of_files_and_of_drawn_slides(stored: Cohort, drawn: Cohort, without_mpp: Cohort) -> None:
    assert frame_of(stored, 3) == Frame(70, 50, 0.4)
    assert frame_of(stored, 3).extent_px0(stored) == 20
    assert frame_of(drawn, 5) == Frame(128, 128, 0.5)
    assert frame_of(without_mpp, 0).mpp0 is None


def test_what_is_not_known_is_an_error_only_where_it_is_needed(opaque: Cohort, without_mpp: Cohort) -> None:
    assert known_frame(opaque, 0) is None
    with pytest.raises(UserError, match=r"size of its images is not known.*layout `tiles`"):
        frame_of(opaque, 0)
    with pytest.raises(UserError, match=r"x\.png: mpp is missing.*cohort\.image_mpp"):
        mpp0_of(without_mpp, 0, frame_of(without_mpp, 0))


def test_identity_leaves_blank_what_has_no_name(stored: Cohort) -> None:
    assert identity(stored, 4) == {"patient_id": "NA", "slide_id": "d", "label": "", "site": "", "split": ""}
    assert identity(stored, 3) == {"patient_id": "08", "slide_id": "c", "label": "kidney", "site": "s2", "split": ""}
