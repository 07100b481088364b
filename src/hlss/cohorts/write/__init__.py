"""Writers: a cohort as the world stores slides, one file a layout."""
