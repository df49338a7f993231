"""Policies in container images: `--policy docker://IMAGE`, by docker, podman or apptainer."""

from vla_bench.policies.containers.image import ImageReference, is_image
from vla_bench.policies.containers.options import ContainerOptions
from vla_bench.policies.containers.server import ContainerServer

__all__ = ["ContainerOptions", "ContainerServer", "ImageReference", "is_image"]
