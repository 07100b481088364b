"""Units and maps for a run's words in a report: those that were written of its table, or a few made now."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hlss.errors import UserError
from hlss.jobs import report_slide_maps, report_units
from hlss.jobs.explain_sources import sources_of
from hlss.jobs.report_explained import Written
from hlss.jobs.report_pixels import Tiles
from hlss.jobs.report_runs import RunFolder
from hlss.jobs.report_slide_maps import SlideMaps, picked
from hlss.jobs.report_units import made_units, units_by_class
from hlss.jobs.report_words import Worded
from hlss.jobs.setup import Say
from hlss.report.contents import MapShown, UnitShown, WordsPart
from hlss.report.facts import Facts

Kept = Callable[[str, Any], Facts]  # name among the report's figures, and the figures


class Seen:
    """Of one run. kept: takes what is computed here as figures of the report."""

    def __init__(self, run: RunFolder, worded: Worded, tiles: Tiles, written: Written, kept: Kept, say: Say) -> None:
        self._run, self._worded, self._tiles, self._written = run, worded, tiles, written
        self._kept, self._say = kept, say

    def added(self, part: WordsPart) -> WordsPart:
        """The part with its units and maps, or with why there are none."""
        units, units_how = self._units()
        try:
            maps, maps_how = self._maps(units)
        except UserError as error:
            maps, maps_how = [], f"No maps: {error}"
        return replace(part, units=units, units_how=units_how, maps=maps, maps_how=maps_how)

    def _units(self) -> tuple[list[UnitShown], str]:
        found, how = self._written.units(), report_units.MADE
        if found is None:
            self._say("  explaining a few patches, slides and patients")
            found = self._kept("units", made_units(self._worded, self._say))
        else:
            how = report_units.WRITTEN.format(file=found.source)
        return units_by_class(found, self._run.main_table, self._tiles), how

    def _maps(self, units: list[UnitShown]) -> tuple[list[MapShown], str]:
        written, own = self._written.maps(), replace(self._worded.source, table=self._run.main_table)
        if written is not None:
            folder, facts = written
            other = folder != self._run.main
            maps = SlideMaps(sources_of([folder], "all")[0] if other else own, facts["bank"].value)
            smooth_um = float(facts["settings"]["smooth_um"].value)
            shown = [maps.shown(one, smooth_um) for one in picked(facts["maps"])]
            what = report_slide_maps.OTHER_TABLE if other else report_slide_maps.OWN_TABLE
            counts = {"shown": len(shown), "of": len(facts["maps"].value)}
            return shown, report_slide_maps.WRITTEN.format(what=what, **counts)
        self._say("  mapping a few slides")
        maps = SlideMaps(own, self._worded.bank)
        found = maps.made(units)
        if not found:
            return [], "No slide is explained here, so none is mapped: `hlss map RUN --characteristic NAME` maps any."
        kept = self._kept("slide_maps", found)
        return [maps.shown(one) for one in kept], report_slide_maps.MADE.format(shown=len(found))
