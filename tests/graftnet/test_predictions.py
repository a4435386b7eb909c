"""Predictions as text."""

from graftnet.commands.deploy import prediction_lines


def test_two_values_show_the_positive_one_and_more_the_predicted_one() -> None:
    row = {
        "image": "a.jpg",
        "attributes": {
            "bald": {"value": "no", "scores": {"no": 0.7, "yes": 0.3}, "threshold": 0.4},
            "gender": {"value": "male", "scores": {"female": 0.2, "male": 0.5, "other": 0.3}, "threshold": None},
        },
    }
    assert prediction_lines([row]) == [
        "a.jpg  bald = no (yes 0.300, threshold 0.400)",
        "a.jpg  gender = male (male 0.500)",
    ]
