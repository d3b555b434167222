"""What is asked of a bucket's name, its region and the values, before anything is tried."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from deiswizard.stores.bucket import Bucket
from deiswizard.stores.trial import bucket_problem, region_problem, value_problem


@pytest.mark.parametrize("name", ["abc", "deis-registry", "old_style", "a1b", "x" * 63])
def test_good_names(name: str) -> None:
    assert bucket_problem(name) == ""


@pytest.mark.parametrize(
    "name", ["", "ab", "x" * 64, "Deis", "-abc", "abc-", "a b", "abc\n", "ümlaut", "a/b"]
)
def test_bad_names(name: str) -> None:
    assert bucket_problem(name).startswith("a bucket's name has 3 to 63")


def test_a_dot_is_what_the_registry_itself_refuses() -> None:
    assert "'.'" in bucket_problem("registry.example.com")


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "sa-east-1", "us-gov-west-1"])
def test_old_regions(region: str) -> None:
    assert region_problem(region) == ""


@pytest.mark.parametrize(
    "region", ["eu-central-1", "cn-north-1", "ap-south-1", "us-east-2", "eu-west-3"]
)
def test_regions_of_version_4_only(region: str) -> None:
    assert region_problem(region).startswith(f"{region} is none of the regions")


@pytest.mark.parametrize(
    "value",
    ["it's", "back\\slash", "two\nlines", "true", "null", "~", "12", "0x1f", "", " lead", "trail ", "a: b",
     "a #b", "#a", "*a", "&a", "!a", "%a", "@a", "[a", "{a", "- a", "2014-01-01", "1_000", "yes", "on", "=", "<<",
     "a:", "\u00a0", "\u2028", "\x85", "12:30:45"],
)  # fmt: skip
def test_values_that_the_template_would_change(value: str) -> None:
    assert value_problem("secret_key", value).startswith("the secret key ")


@pytest.mark.parametrize("value", ["AKIADEMO", "abc/def+ghi=", "a:b", "a#b", "-a", "ü", "a b"])
def test_values_that_survive(value: str) -> None:
    assert value_problem("secret_key", value) == ""


@given(st.text() | st.text("0123456789abcdefxoyestrunl~:#-.+_ '\"\\%@&*!|>{}[],?=<", max_size=8))
@example("1_0")
@example("...")
@example("---")
def test_what_passes_is_read_back_the_same_from_yaml_and_from_python(value: str) -> None:
    if value_problem("secret_key", value):
        return
    assert yaml.safe_load(f"s3:\n    key: {value}\n    other: x\n") == {
        "s3": {"key": value, "other": "x"}
    }
    assert eval(f"'{value}'", {}) == value


@pytest.mark.parametrize(
    ("path", "prefix", "text"),
    [("/registry", "registry/", "s3://b/registry"), ("/", "", "s3://b"), ("", "", "s3://b"), ("/a/b/", "a/b/", "s3://b/a/b")],
)  # fmt: skip
def test_where_amazons_images_are(path: str, prefix: str, text: str) -> None:
    bucket = Bucket(bucket="b", path=path)
    assert (bucket.prefix, bucket.text, bucket.url) == (prefix, text, "https://s3.amazonaws.com")


def test_elsewhere_the_path_is_the_registrys_own() -> None:
    bucket = Bucket(kind="compatible", bucket="b", path="/mine", host="store", port=8080)
    assert bucket.prefix == "registry/"
    assert (bucket.text, bucket.url) == ("http://store:8080/b/registry", "http://store:8080")
