"""Who: patients → slides → images → tiles, as tables; one file a source."""
