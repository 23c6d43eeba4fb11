"""Opening what is searched: embeddings or an index, refused where they do not belong to the passages and questions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fidtools.data.corpus import Corpus
from fidtools.errors import UsageError
from fidtools.search.backends import ExactIndex, SearchIndex, measure_mismatches
from fidtools.search.corpus_match import Fingerprint, raise_or_warn
from fidtools.search.faiss_index import FaissIndex
from fidtools.search.rescored_index import RescoredIndex
from fidtools.search.verification import VerifiedIndex


@dataclass(frozen=True)
class IndexOpener:
    """Opens vectors of these passages, for questions of length `dim` by the encoder of that fingerprint.

    With `force` what does not match is warned of. `memory` is the limit of exact search, in bytes.
    """

    passages: Corpus
    fingerprint: Fingerprint | None
    dim: int
    force: bool
    memory: int

    def open(self, embeddings: Path | None, folder: Path | None, parameters: str | None) -> SearchIndex:
        """The embeddings, or else the index folder. Raises MismatchError for those of other passages or encoders."""
        if embeddings is not None:
            return self._exact(embeddings)
        assert folder is not None, "checked by the commands: without --embeddings there is --index"
        return FaissIndex(
            folder, self.passages, self.fingerprint, dim=self.dim, force=self.force, parameters=parameters
        )

    def refined(
        self, index: SearchIndex, rescore: Path | None, oversample: float, verify: Path | None
    ) -> tuple[SearchIndex, VerifiedIndex | None]:
        """The index with --rescore and --verify around it, where they are given; the second one reports.

        Raises UsageError for embeddings that are not floats, MismatchError for those that cannot judge the index.
        """
        floats = None if rescore is None else self._floats("--rescore", rescore, index)
        if floats is not None:
            index = RescoredIndex(index, floats, oversample)
        if verify is None:
            return index, None
        if floats is None or verify != rescore:
            floats = self._floats("--verify", verify, index)
        verified = VerifiedIndex(index, floats)
        return verified, verified

    def _exact(self, embeddings: Path) -> ExactIndex:
        return ExactIndex(
            embeddings, self.passages, self.fingerprint, dim=self.dim, force=self.force, memory=self.memory
        )

    def _floats(self, option: str, embeddings: Path, searched: SearchIndex) -> ExactIndex:
        index = self._exact(embeddings)
        if not index.has_floats:
            raise UsageError(f"{option} needs float32 or float16 embeddings; {embeddings} has smaller ones")
        raise_or_warn(measure_mismatches(embeddings, index, searched), self.force)
        return index
