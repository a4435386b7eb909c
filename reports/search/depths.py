"""Section of the trunk's depths: what a probe says of this attribute, beside the depth that the search read."""

from reports.drawing.depths import depths_section as section_of
from reports.layout.pages import Section
from reports.summaries.search import Records, attribute_of
from reports.summaries.values import table, whole


def depths_section(records: Records) -> Section | None:
    """None where the attribute was not probed on the trunk of this search."""
    advised = whole(records.probe.get("advised"))
    read = whole(records.result.get("freeze_depth", records.config.get("freeze_depth")))
    if advised is None:
        return None
    lead = f"A probe of this trunk advises depth {advised} for {attribute_of(records)}"
    lead += "." if read is None else ", which this search read." if read == advised else f"; this search read {read}."
    images = table(records.probe.get("images"))
    train, val = whole(images.get("train")), whole(images.get("val"))
    counted = f" on {train:,} images of train, {val:,} of val" if train is not None and val is not None else ""
    return section_of(records.probe, lead, f"Logistic regression on averaged maps{counted}; trunk: for one image.")
