"""The SavedModel that ships gives one answer, whoever asks it and however it runs.

Numbers agree within `AGREES`, over their size or one; what was measured stands in
docs/use/serving.md.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.model_files.presets import saved_models_directory

DIRECTORY = saved_models_directory() / "m83-wfc3-uvis" / "1"
AGREES = 1e-4

#: Asks every signature with TensorFlow alone.
ALONE = """
import sys
import numpy as np
import tensorflow as tf

model, given, found = tf.saved_model.load(sys.argv[1]), np.load(sys.argv[2]), {}
for name, signature in model.signatures.items():
    inputs = signature.structured_input_signature[1]
    answer = signature(**{key: tf.constant(given[key]) for key in inputs})
    found |= {f"{name} {key}": value.numpy() for key, value in answer.items()}
np.savez(sys.argv[3], **found)
"""


def inputs_of(signatures, name, given):
    return {key: given[key] for key in signatures[name].specs["input"]}


@pytest.fixture(scope="module")
def answers(signatures, given):
    """Return what this process answers, by signature and name."""
    found = {}
    for name, ask in signatures.items():
        answer = ask(**inputs_of(signatures, name, given))
        found |= {f"{name} {key}": value.numpy() for key, value in answer.items()}
    return found


def check(found, answers):
    """Compare numbers and words; none may be missing."""
    assert set(found) == set(answers)
    for name, wanted in answers.items():
        if np.asarray(wanted).dtype.kind in "fi":
            far = np.abs(found[name] - wanted) / np.maximum(np.abs(wanted), 1)
            assert far.max(initial=0) <= AGREES, name
        else:
            assert np.asarray(found[name]).tolist() == np.asarray(wanted).tolist()


def test_other_kernels_in_a_process_of_tensorflow_alone_agree(given, answers, tmp_path):
    # this process and the program in C have those of oneDNN
    np.savez(tmp_path / "given.npz", **given)
    paths = str(DIRECTORY), str(tmp_path / "given.npz"), str(tmp_path / "found.npz")
    subprocess.run(
        [sys.executable, "-I", "-c", ALONE, *paths],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
        cwd=tmp_path,
        check=True,
    )
    with np.load(paths[2], allow_pickle=True) as found:
        check(dict(found), answers)


def test_xla_agrees(signatures, given, answers):
    # one signature: each takes a quarter of a minute to compile, and the network is one
    name = "conditioned_samples"
    inputs = inputs_of(signatures, name, given)
    compiled = tf.function(signatures[name]._function, jit_compile=True)
    answer = compiled(**{key: tf.constant(value) for key, value in inputs.items()})
    found = {f"{name} {key}": value.numpy() for key, value in answer.items()}
    check(found, {key: answers[key] for key in found})


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Return the path of the program in C, built from the wheel of TensorFlow."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("no C compiler: cc, gcc or clang")
    directory = tf.sysconfig.get_lib()
    libraries = "libtensorflow_cc.so.2", "libtensorflow_framework.so.2"
    if not all(Path(directory, name).is_file() for name in libraries):
        pytest.skip(f"the wheel of TensorFlow has no {' and '.join(libraries)}")
    path = tmp_path_factory.mktemp("built") / "ask_savedmodel"
    source = Path(__file__).with_name("ask_savedmodel.c")
    options = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{directory}/include"]
    link = [f"-L{directory}", *(f"-l:{name}" for name in libraries)]
    command = [compiler, *options, str(source), "-o", str(path), *link]
    subprocess.run([*command, f"-Wl,-rpath,{directory}"], check=True)
    return path


def parse(line):
    """Return the name and the values of an output that the program has printed."""
    head, _, words = line.partition(" :")
    name, kind, *sizes = head.split()
    shape = [int(size) for size in sizes[0].split(",")] if sizes else []
    values = words.split()
    if kind == "string":
        values = [unquote(word).encode() for word in values]
        kind = object
    return name, np.array(values, kind).reshape(shape)


def test_a_program_in_c_is_told_the_same(program, given, answers, tmp_path):
    words, wanted = [], {}
    for name in ("metadata", "serving_default", "samples"):
        words.append(name)
        wanted |= {k: v for k, v in answers.items() if k.startswith(f"{name} ")}
        for key in {"samples": ("images", "seed"), "serving_default": ("images",)}.get(
            name, ()
        ):
            values = given[key]
            values.tofile(tmp_path / key)
            shape = ",".join(map(str, values.shape))
            words.append(f"{key}:{values.dtype.name}:{shape}={tmp_path / key}")
    said = subprocess.run(
        [program, DIRECTORY, *words], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    found, signature = {}, None
    for line in said.splitlines():
        if line.startswith("# "):
            signature = line[2:]
        else:
            name, values = parse(line)
            found[f"{signature} {name}"] = values
    check(found, wanted)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serving_default",), "expected 1 inputs, received 0"),
        (("more",), "no such signature"),
        (("serving_default", "images:float32:2,64,64,2=no"), "no: no such file"),
    ],
)
def test_the_program_says_what_is_wrong(program, tmp_path, words, said):
    done = subprocess.run(
        [program, DIRECTORY, *words], stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert said in done.stderr
