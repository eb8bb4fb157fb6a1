//===- TensorReader.h - a tensor from a file into memory --------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_CHECKPOINT_TENSORREADER_H
#define DEEPSHARD_RUNTIME_CHECKPOINT_TENSORREADER_H

#include "runtime/kernels/Kernel.h"
#include "runtime/plan/File.h"
#include "runtime/plan/Pieces.h"

#include <cstdint>
#include <vector>

namespace deepshard::runtime {

/// A strided window of a file: element (i, j, ...) lies at offset + (i * strides[0] + j *
/// strides[1] + ...) elements.
struct FileTensor {
  const InputFile *file = nullptr;
  uint64_t offset = 0; ///< bytes
  TensorDesc desc;     ///< type, shape and strides in the file
};

/// Most bytes of a file that a piece spans.
inline constexpr uint64_t kPieceBytes = uint64_t{4} << 20;

/// Cuts a box of a tensor into pieces that span at most kPieceBytes of the file each, along its
/// dimensions of largest stride. Pieces of which less than half of the span belongs to the box are
/// cut further, down to kSparseBytes.
std::vector<Box> cutIntoPieces(const TensorDesc &inFile, const Box &box);

inline constexpr uint64_t kSparseBytes = uint64_t{64} << 10;

/// Reads one piece of `from` into memory, converting the type. `desc` gives type and strides there,
/// `to` is the place of the piece's first element. `staging` is memory that may be reused from call
/// to call; a piece that lies in both places contiguously and in the same type needs none. Pieces
/// of one tensor may be read by several threads. Throws Error if the file ends early or a number
/// does not fit.
void readPiece(const FileTensor &from, const Box &piece, const TensorDesc &desc, void *to,
               std::vector<char> &staging);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_CHECKPOINT_TENSORREADER_H
