"""The controls that are no searched architectures: the linear probe and the backbone's own tail, trained once each."""

from torch import nn

from branches.compression import on_trunk
from branches.costs import macs, parameters
from nas.results import Contestant
from nas.settings import JobData, JobSettings
from nas.trainings import Trained, Trainings


def baselines(data: JobData, settings: JobSettings, trainings: Trainings) -> dict[str, Contestant]:
    """Train or read back ``linear_probe`` and ``tail``, those of them that `settings` want and `data` allow."""
    found = {}
    if settings.probe:
        found["linear_probe"] = contestant(data, trainings.probe(settings.search.reward))
    if settings.tail is not None and data.tail is not None:
        found["tail"] = contestant(data, trainings.tail("tail", data.tail, settings.tail))
    return found


def contestant(data: JobData, trained: Trained) -> Contestant:
    """One training with the costs of its module as it is deployed, on the trunk's own features."""
    module: nn.Module = on_trunk(trained.module, data.train.features)
    return Contestant([trained], parameters(module), macs(module, data.train.trunk_shape))
