"""Figures: arrays and scores in, a matplotlib Figure or an HTML table out; nothing is computed here."""

from fgssl_edu.figures.bars import bars
from fgssl_edu.figures.curves import label_curves, spectrum, sweep, training_curve, watched
from fgssl_edu.figures.sheets import contact_sheet, heat_overlay, species_sheet
from fgssl_edu.figures.tables import table

__all__ = [
    "bars",
    "contact_sheet",
    "heat_overlay",
    "label_curves",
    "species_sheet",
    "spectrum",
    "sweep",
    "table",
    "training_curve",
    "watched",
]
