"""A description of a set that is damaged names itself and says what to do."""

import json

import pytest
import yaml

from data_tools.priors import Priors
from data_tools.records.finished_set import Manifest, read_configuration, read_manifest
from data_tools.records.plan import MockSet, configuration
from data_tools.records.shard_file import ShardEntry
from data_tools.running.plain_files import read_json

#: Names that are no file's beside a manifest.
ELSEWHERE = ("../evil", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "a\0b", 300 * "a")
ENTRY = {"records": 2, "size": 30, "sha256": "0"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"n": 1', r"a\.json: not JSON: .*cut short, damaged or something else"),
        (bytes(range(256)), r"a\.json: expected text in UTF-8"),
        (100_000 * b'{"a":', r"a\.json: not JSON: it is nested too deeply"),
        (b'{"n": ' + 5000 * b"1" + b"}", r"a\.json: not JSON"),
        (b"", r"a\.json: not JSON"),
        (b"[1]", r"a\.json: expected a JSON object; received a list"),
    ],
)
def test_what_is_no_object_in_json_is_named(content, message, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("lost", ["target", "mocks"])
def test_a_configuration_that_was_cut_short_is_named(lost, m83, tmp_path):
    whole = configuration(m83, Priors(), MockSet(n_train=1))
    path = tmp_path / "configuration.yaml"
    path.write_text(yaml.safe_dump(whole))
    assert read_configuration(tmp_path) == whole
    path.write_text(yaml.safe_dump({k: v for k, v in whole.items() if k != lost}))
    with pytest.raises(ValueError, match=rf"yaml: expected {lost} in it"):
        read_configuration(tmp_path)


def test_a_target_that_is_none_is_named_with_its_file(m83, tmp_path):
    whole = configuration(m83, Priors(), MockSet(n_train=1))
    whole["target"]["bands"] = []
    (tmp_path / "configuration.yaml").write_text(yaml.safe_dump(whole))
    with pytest.raises(ValueError, match=r"configuration\.yaml: .*at least two"):
        read_configuration(tmp_path)


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        {"splits": {"train": ["a"]}},
        {"splits": [], "shards": {}},
        {"splits": {"train": ["a"]}, "shards": {"a": {"records": 2, "size": 30}}},
        {"splits": {"train": "a"}, "shards": {}},
        {"splits": {"train": []}, "shards": {}},
        {"splits": {"train": [5]}, "shards": {}},
        {"splits": {"train": None}, "shards": {}},
        {"splits": {"trian": ["a"]}, "shards": {}},
        {"splits": {"train": ["a", "a"]}, "shards": {}},
        {"splits": {"train": ["a"], "test": ["a"]}, "shards": {}},
        {"splits": {"train": ["a"]}, "shards": {"a": 5}},
        {"splits": {"train": ["a"]}, "shards": [["a"]]},
        *({"splits": {"train": [name]}, "shards": {}} for name in ELSEWHERE),
        *({"splits": {"train": ["a"]}, "shards": {name: ENTRY}} for name in ELSEWHERE),
        *(
            {"splits": {"train": ["a"]}, "shards": {"a": {**ENTRY, key: value}}}
            for key in ENTRY
            for value in (0, -1, 1.5, True, None, [1], {})
        ),
    ],
)
def test_a_manifest_without_what_it_should_say_is_named(manifest, tmp_path):
    whole = Manifest({"train": ["a"]}, {"a": ShardEntry(2, 30, "0")})
    path = tmp_path / "manifest.json"
    whole.write(tmp_path)
    assert read_manifest(tmp_path) == whole
    path.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"manifest\.json: .*Remove it and run"):
        read_manifest(tmp_path)
