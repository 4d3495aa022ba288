"""How oBERT's blocks are cut into parts that fit in memory. The plan counts with it too: it loads no torch."""

from __future__ import annotations

from collections.abc import Sequence

from recipelang.source.frozen import frozen


@frozen
class Piece:
    """Weights `first..last-1` of a flattened target; `first` is where a block begins."""

    target: int
    first: int
    last: int

    def rows(self, block: int) -> int:
        """How many blocks, the shorter one at the end of a tensor included."""
        return -(-(self.last - self.first) // block)


def chunk(block: int) -> int:
    """Gradients gathered before a product: more are hardly faster, and take more memory than half the matrices."""
    return max(4, block // 2)


def block_bytes(block: int) -> int:
    """What the matrix of a block and the gathered gradients of its weights take at the peak."""
    return 4 * block * (block + chunk(block))


def passes(sizes: Sequence[int], block: int, most: int) -> list[list[Piece]]:
    """Targets of these sizes in as few parts as hold at most `most` blocks each.

    >>> passes([5, 3], block=2, most=4)
    [[Piece(target=0, first=0, last=5), Piece(target=1, first=0, last=2)], [Piece(target=1, first=2, last=3)]]
    """
    parts: list[list[Piece]] = [[]]
    room = most
    for target, size in enumerate(sizes):
        first = 0
        while first < size:
            if not room:
                parts.append([])
                room = most
            piece = Piece(target, first, min(size, first + room * block))
            parts[-1].append(piece)
            room -= piece.rows(block)
            first = piece.last
    return parts


def within(sizes: Sequence[int], block: int, memory: int) -> list[list[Piece]]:
    """Parts whose matrices take no more than `memory` bytes each; one block is the least."""
    return passes(sizes, block, max(1, memory // block_bytes(block)))
