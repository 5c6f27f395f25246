import asyncio
import shutil

import pytest

from clusterkeras.serving.server.versions import ModelVersions, Version

GOOD, BAD = "good", "bad"


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "m83"


@pytest.fixture
def tried():
    return []


@pytest.fixture
def versions(directory, tried):
    def load(path):
        tried.append(int(path.name))
        if (path / "saved_model.pb").read_text() != GOOD:
            raise ValueError(f"{path.name}: not readable")
        return Version(int(path.name), {}, {}, {}, {})

    return ModelVersions("m83", directory, load)


def put(directory, number, content):
    (directory / str(number)).mkdir(parents=True, exist_ok=True)
    (directory / str(number) / "saved_model.pb").write_text(content)


def states(versions):
    asyncio.run(versions.refresh())
    return {number: state for number, (state, _) in versions.states.items()}


def test_a_server_that_begins_beside_a_broken_newest_version_serves_the_one_before(
    directory, versions
):
    put(directory, 1, GOOD)
    put(directory, 2, GOOD)
    put(directory, 3, BAD)
    assert states(versions) == {2: "AVAILABLE", 3: "END"}
    assert versions.pick().number == 2


def test_a_broken_version_hides_none_that_came_before_it(directory, versions):
    put(directory, 1, GOOD)
    assert states(versions) == {1: "AVAILABLE"}
    put(directory, 2, GOOD)
    put(directory, 3, BAD)
    assert states(versions) == {2: "AVAILABLE", 3: "END"}
    shutil.rmtree(directory / "2")
    assert states(versions) == {1: "AVAILABLE", 3: "END"}
    shutil.rmtree(directory / "3")
    assert states(versions) == {1: "AVAILABLE"}
    shutil.rmtree(directory / "1")
    assert states(versions) == {1: "AVAILABLE"}, "one that works is better than none"


def test_a_version_seen_half_copied_is_tried_again_once_it_has_changed(
    directory, versions, tried
):
    put(directory, 1, GOOD)
    put(directory, 2, "")
    assert states(versions) == {1: "AVAILABLE", 2: "END"}
    assert states(versions) == {1: "AVAILABLE", 2: "END"}
    assert tried == [2, 1], "what stays as it was is not tried again"
    put(directory, 2, GOOD)
    assert states(versions) == {2: "AVAILABLE"}
    assert tried == [2, 1, 2]


def test_a_version_that_never_stays_as_it_is_is_tried_once_a_look(
    directory, versions, tried
):
    put(directory, 1, GOOD)
    put(directory, 2, BAD)
    load = versions.load

    def changing(path):
        put(directory, 2, BAD * (2 + len(tried)))
        return load(path)

    versions.load = changing
    assert states(versions)[1] == "AVAILABLE"
    assert tried.count(2) == 1
