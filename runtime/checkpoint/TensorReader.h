//===- TensorReader.h - a tensor from a file into memory --------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_CHECKPOINT_TENSORREADER_H
#define DEEPSHARD_RUNTIME_CHECKPOINT_TENSORREADER_H

#include "runtime/kernels/Kernel.h"
#include "runtime/plan/File.h"

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

/// A part of a tensor that is read at once.
struct TensorPiece {
  std::vector<int64_t> begin; ///< per dimension
  std::vector<int64_t> size;
};

/// Most bytes of a file that a piece spans.
inline constexpr uint64_t kPieceBytes = uint64_t{4} << 20;

/// Cuts a tensor into pieces that span at most kPieceBytes of the file each, along its dimensions
/// of largest stride.
std::vector<TensorPiece> cutIntoPieces(const TensorDesc &inFile);

/// Reads one piece of `from` into `to` (a window of the same shape), converting the type. `staging`
/// is memory that may be reused from call to call; a piece that lies in both places contiguously
/// and in the same type needs none. Pieces of one tensor may be read by several threads. Throws
/// Error if the file ends early or a number does not fit.
void readPiece(const FileTensor &from, const TensorPiece &piece, const TensorDesc &desc, void *to,
               std::vector<char> &staging);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_CHECKPOINT_TENSORREADER_H
