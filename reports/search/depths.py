"""Section of the trunk's depths: what a probe says of this attribute, beside the depth that the search read."""

from reports.drawing.depths import depths_section as section_of
from reports.layout.pages import Section
from reports.summaries.search import Records, attribute_of
from reports.summaries.values import table, whole


def depths_section(records: Records) -> Section | None:
    """None where the attribute was not probed on the trunk of this search."""
    advised = whole(records.probe.get("advised"))
    if advised is None:
        return None
    lead = f"A probe of this trunk advises depth {advised} for {attribute_of(records)}{_beside(records, advised)}."
    return section_of(records.probe, lead, f"Logistic regression on averaged maps{_images(records)}; trunk: one image.")


def _beside(records: Records, advised: int) -> str:
    """What the search read itself: it may be older than the probe, or have been given another depth."""
    read = whole(records.result.get("freeze_depth", records.config.get("freeze_depth")))
    if read is None:
        return ""
    return ", which this search read" if read == advised else f"; this search read {read}"


def _images(records: Records) -> str:
    """How many images the probe looked at."""
    images = table(records.probe.get("images"))
    train, val = whole(images.get("train")), whole(images.get("val"))
    return "" if train is None or val is None else f" on {train:,} images of train, {val:,} of val"
