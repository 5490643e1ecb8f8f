"""What a reader of sums should know: periods that are left out, intervals that rest on too little, medians."""

import logging

from forecast.ensemble.joint_errors import LEAST_WINDOWS, PAST_SHARE, JointErrors
from forecast.errors import Setting
from forecast.totals.sums import Totals

log = logging.getLogger("forecast")

GRID = "the table was brought to its grid by the %s of its values, and sums of these are no totals; pass %s"
LEFT_OUT = "the last %s is left out, as the horizon of %d steps does not reach its end; %d would"
OLDER = "this version does not know how errors go together; fit again"
FEW = "they rest on %.1f windows of the past that do not overlap, and %d are needed; series of %d values have them"
SLIGHT = 5e-4  # share of the mean by which the sum of medians may differ without a word
MEDIANS = "sums     of means, as medians do not add up: the sum of the medians is %.1f %% %s"


def log_notes(totals: Totals) -> None:
    for every, wanted in totals.left_out.items():
        log.info(LEFT_OUT, every, totals.horizon, wanted)
    warn_of_sums(totals)
    mean, medians = totals.overall()
    if mean and abs(medians / mean - 1) > SLIGHT:
        log.info(MEDIANS, abs(medians / mean - 1) * 100, "lower" if medians < mean else "higher")


def warn_of_sums(totals: Totals) -> None:
    """Warn of sums that are no totals, and of intervals that rest on too little."""
    if totals.schema.aggregate in ("mean", "last"):
        log.warning(GRID, totals.schema.aggregate, Setting("aggregate", "sum"))
    if not totals.calibrated:
        log.warning("intervals of sums are not calibrated: %s", _reason(totals.fitted.joint))


def _reason(joint: JointErrors | None) -> str:
    if joint is None:
        return OLDER
    needed = int(LEAST_WINDOWS * joint.values.shape[2] / PAST_SHARE) + 1
    return FEW % (joint.independent_windows, LEAST_WINDOWS, needed)
