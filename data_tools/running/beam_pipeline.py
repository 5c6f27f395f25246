"""Run an Apache Beam pipeline, in processes of this machine or as its options say."""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState


def pipeline_options(workers: int = 0, options: Sequence[str] = ()) -> PipelineOptions:
    """Return the options of a pipeline.

    Parameters
    ----------
    workers : int
        Processes on this machine where `options` are empty; 0 for one a core.
    options : sequence of str
        Beam's own, such as ``--runner=DataflowRunner --project=...``. Without any,
        Beam's local runner works in several processes.

    Returns
    -------
    PipelineOptions

    Raises
    ------
    ValueError
        If `workers` and `options` are both given.
    """
    if workers and options:
        raise ValueError(
            "workers are for Beam's local runner: expected them or the runner's own "
            f"options; received {workers} beside {list(options)}"
        )
    # DirectRunner would first try to download another runner, which works in one
    # process; this is its engine for several
    options = options or (
        "--runner=FnApiRunner",
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={workers}",
    )
    return PipelineOptions(list(options))


def run(pipeline: apache_beam.Pipeline, kept: str) -> None:
    """Run a pipeline and wait for it.

    Parameters
    ----------
    pipeline : apache_beam.Pipeline
        Complete.
    kept : str
        What stays if it fails, for the message.

    Raises
    ------
    ChildProcessError
        If it fails; the message ends with Beam's last words.
    """
    try:
        state = pipeline.run().wait_until_finish()
    except Exception as error:
        last = str(error).strip().splitlines()[-1]
        raise ChildProcessError(f"the Beam pipeline failed; {kept}. {last}") from error
    if state not in (None, PipelineState.DONE):
        raise ChildProcessError(f"the Beam pipeline ended as {state}; {kept}")
