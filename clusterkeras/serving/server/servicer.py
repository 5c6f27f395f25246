"""Requests answered: whatever they came by, and whatever runs the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import grpc
import numpy as np
import tensorflow as tf

from clusterkeras.network.layers.context import check_values
from clusterkeras.serving.loading import reason_of
from clusterkeras.serving.server.batching import Arrays
from clusterkeras.serving.server.inputs import check_names, check_rows
from clusterkeras.serving.server.metrics import Metrics
from clusterkeras.serving.server.refused import RefusedError, bad, unknown
from clusterkeras.serving.server.versions import Limits, ModelVersions, Version
from data_tools.schema import CONTEXT

#: The signature of a request that names none.
DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Asked:
    """Which model is asked, and for what.

    Attributes
    ----------
    model : str
        Its name.
    version : int, optional
        The newest if none.
    label : str, optional
        In place of a version.
    signature : str
        What is asked for.
    """

    model: str
    version: int | None = None
    label: str | None = None
    signature: str = DEFAULT_SIGNATURE


@dataclass
class Servicer:
    """Answer requests with the versions of models.

    Attributes
    ----------
    models : mapping of str to ModelVersions
        By name.
    limits : Limits
        What a request may be.
    metrics : Metrics
        Where requests are counted.
    """

    models: Mapping[str, ModelVersions]
    limits: Limits
    metrics: Metrics

    def versions(self, model: str) -> ModelVersions:
        """Return a model's versions.

        Raises
        ------
        RefusedError
            If there is no model of that name.
        """
        if model not in self.models:
            raise unknown(
                f"model: expected one of {', '.join(sorted(self.models))}; received "
                f"{model!r}"
            )
        return self.models[model]

    def pick(self, asked: Asked) -> Version:
        """Return the version that is asked for.

        Raises
        ------
        RefusedError
            If it is not served.
        """
        return self.versions(asked.model).pick(asked.version, asked.label)

    def inputs_of(
        self, version: Version, signature: str
    ) -> Mapping[str, tf.TensorSpec]:
        """Return what a signature takes.

        Raises
        ------
        RefusedError
            If there is no such signature.
        """
        if signature not in version.specs:
            raise bad(
                f"signature_name: expected one of {', '.join(sorted(version.specs))}; "
                f"received {signature!r}"
            )
        return version.specs[signature]["input"]

    async def predict(
        self,
        asked: Asked,
        read: Callable[[Mapping[str, tf.TensorSpec], int], Mapping[str, np.ndarray]],
        wanted: Iterable[str] = (),
    ) -> tuple[Arrays, Version]:
        """Answer a request.

        Parameters
        ----------
        asked : Asked
            What for.
        read : callable
            Makes checked arrays of the request, given what the signature takes and how
            many rows it may have.
        wanted : iterable of str
            Names of the outputs to return; all of them for none.

        Returns
        -------
        outputs : mapping of str to ndarray
            By name.
        version : Version
            The one that has answered all rows.

        Raises
        ------
        RefusedError
            If it is not answered.
        """
        began = time.perf_counter()
        code = grpc.StatusCode.OK
        try:
            version = self.pick(asked)
            specs = self.inputs_of(version, asked.signature)
            outputs = await self._outputs(version, asked.signature, specs, read)
            return _chosen(outputs, tuple(wanted)), version
        except RefusedError as error:
            code = error.code
            raise
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            code = grpc.StatusCode.INVALID_ARGUMENT
            raise bad(reason_of(error)) from error
        except Exception:
            code = grpc.StatusCode.INTERNAL
            raise
        finally:
            self.metrics.answered(
                asked.model, asked.signature, code.name, time.perf_counter() - began
            )

    async def _outputs(
        self,
        version: Version,
        signature: str,
        specs: Mapping[str, tf.TensorSpec],
        read: Callable[[Mapping[str, tf.TensorSpec], int], Mapping[str, np.ndarray]],
    ) -> Arrays:
        inputs = read(specs, self.limits.request_rows)
        check_names(inputs, specs)
        for part in CONTEXT:
            if part.name in inputs:
                check_values(part.name, inputs[part.name])
        if signature in version.constant:
            return version.constant[signature]
        return await version.batchers[signature].ask(inputs, check_rows(inputs))


def _chosen(outputs: Arrays, wanted: tuple[str, ...]) -> Arrays:
    missing = set(wanted) - set(outputs)
    if missing:
        raise bad(
            f"output_filter: expected names among {', '.join(sorted(outputs))}; "
            f"received {', '.join(sorted(missing))}"
        )
    return {name: outputs[name] for name in wanted} if wanted else outputs
