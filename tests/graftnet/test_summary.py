"""The table of several searches."""

from graftnet.commands.demo_steps import summary_lines


def test_table() -> None:
    full = {
        "attribute": "bald",
        "parameters": 51234,
        "parameter_reduction": 0.98765,
        "test": {"auroc": 0.91239},
        "controls": {"random": {"test": {"auroc": 0.9}}, "linear_probe": {"test": None}},
    }
    assert summary_lines([full, {"attribute": "hat", "parameters": 7, "test": None}]) == [
        "attribute  parameters  reduction  test AUROC  random  linear probe  tail",
        "------------------------------------------------------------------------",
        "bald       51,234      98.8%      0.9124      0.9000  -             -",
        "hat        7           -          -           -       -             -",
    ]
