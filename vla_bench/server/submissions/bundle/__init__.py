"""A bundle: everything that a stored run claims and the traces that show it, in one file."""

from vla_bench.server.submissions.bundle.archive import LIMITS, ArchiveLimits
from vla_bench.server.submissions.bundle.manifest import Manifest
from vla_bench.server.submissions.bundle.read import Bundle, read_bundle
from vla_bench.server.submissions.bundle.write import BundleFacts, write_bundle

__all__ = ["LIMITS", "ArchiveLimits", "Bundle", "BundleFacts", "Manifest", "read_bundle", "write_bundle"]
