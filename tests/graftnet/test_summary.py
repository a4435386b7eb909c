"""The table of several searches."""

from graftnet.commands.demos.steps import summary_lines


def test_table() -> None:
    full = {
        "attribute": "bald",
        "parameters": 51234,
        "parameter_reduction": 0.98765,
        "test": {"auroc": 0.91239},
        "controls": {"random": {"test": {"auroc": 0.9}}, "linear_probe": {"test": None}},
    }
    probe = {"attribute": "cap", "kind": "probe", "parameters": 82, "test": {"auroc": 0.95}}
    probe["controls"] = {"searched": {"test": {"auroc": 0.94}}, "tail": {"test": {"auroc": 0.96}}}
    assert summary_lines([full, probe, {"attribute": "hat", "parameters": 7, "test": None}]) == [
        "attribute  ship      parameters  reduction  searched  random  linear probe  tail",
        "----------------------------------------------------------------------------------",
        "bald       searched  51,234      98.8%      0.9124    0.9000  -             -",
        "cap        probe     82          -          0.9400    -       0.9500        0.9600",
        "hat        searched  7           -          -         -       -             -",
    ]
