//===- TensorReader.cpp - a tensor from a file into memory ------------------------------------===//

#include "runtime/checkpoint/TensorReader.h"

#include "runtime/data/Convert.h"
#include "runtime/plan/Error.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace deepshard::runtime {

namespace {

/// Bytes from the first to one past the last element of a box.
uint64_t spanOf(const TensorDesc &desc, const std::vector<int64_t> &size) {
  uint64_t span = 1;
  for (size_t i = 0; i < size.size(); ++i)
    span += static_cast<uint64_t>((size[i] - 1) * desc.strides[i]);
  return span * sizeOf(desc.dtype);
}

/// The dimension of a box that is worth cutting: the one whose steps span most of the file.
size_t widestDimension(const TensorDesc &desc, const std::vector<int64_t> &size) {
  size_t widest = 0;
  for (size_t i = 1; i < size.size(); ++i)
    if ((size[i] - 1) * desc.strides[i] > (size[widest] - 1) * desc.strides[widest])
      widest = i;
  return widest;
}

void cut(const TensorDesc &desc, Box piece, std::vector<Box> &pieces) {
  uint64_t span = spanOf(desc, piece.size);
  uint64_t used = static_cast<uint64_t>(piece.elements()) * sizeOf(desc.dtype);
  bool isSparse = span > kSparseBytes && used < span / 2;
  if (span <= kPieceBytes && !isSparse) {
    pieces.push_back(std::move(piece));
    return;
  }
  // A span above one element has a dimension that can be cut.
  size_t dimension = widestDimension(desc, piece.size);
  uint64_t stepBytes = static_cast<uint64_t>(desc.strides[dimension]) * sizeOf(desc.dtype);
  int64_t most = std::max<int64_t>(1, static_cast<int64_t>(kPieceBytes / stepBytes));
  int64_t whole = piece.size[dimension];
  int64_t first = piece.begin[dimension];
  int64_t step = std::min(most, (whole + 1) / 2);
  for (int64_t done = 0; done < whole; done += step) {
    Box part = piece;
    part.begin[dimension] = first + done;
    part.size[dimension] = std::min(step, whole - done);
    cut(desc, std::move(part), pieces);
  }
}

int64_t offsetOf(const TensorDesc &desc, const std::vector<int64_t> &index) {
  return std::inner_product(index.begin(), index.end(), desc.strides.begin(), int64_t{0});
}

/// Whether a box of `desc` is one run of elements in row-major order.
bool isRun(const TensorDesc &desc, const std::vector<int64_t> &size) {
  int64_t expected = 1;
  for (size_t i = size.size(); i-- > 0;) {
    if (size[i] != 1 && desc.strides[i] != expected)
      return false;
    expected *= size[i];
  }
  return true;
}

/// Walks a box line by line; lines lie along the dimension that is densest in the file.
void scatter(const FileTensor &from, const Box &piece, const TensorDesc &desc, char *to,
             const char *staged) {
  size_t rank = piece.size.size();
  size_t line = 0;
  for (size_t i = 1; i < rank; ++i)
    if (piece.size[i] > 1 &&
        (piece.size[line] == 1 || from.desc.strides[i] < from.desc.strides[line]))
      line = i;
  int64_t length = rank == 0 ? 1 : piece.size[line];
  int64_t fromStride = rank == 0 ? 1 : from.desc.strides[line];
  int64_t toStride = rank == 0 ? 1 : desc.strides[line];
  auto fromWidth = static_cast<int64_t>(sizeOf(from.desc.dtype));
  auto toWidth = static_cast<int64_t>(sizeOf(desc.dtype));
  std::vector<int64_t> index(rank, 0);
  while (true) {
    const char *source = staged + offsetOf(from.desc, index) * fromWidth;
    char *target = to + offsetOf(desc, index) * toWidth;
    if (convertNumbers(from.desc.dtype, source, fromStride, desc.dtype, target, toStride, length) >=
        0)
      throw Error(fmt::format("{}: a number does not fit the type {}", from.file->path(),
                              nameOf(desc.dtype)));
    size_t i = rank;
    while (i-- > 0) {
      if (i == line)
        continue;
      if (++index[i] < piece.size[i])
        break;
      index[i] = 0;
    }
    if (i == SIZE_MAX)
      return;
  }
}

} // namespace

std::vector<Box> cutIntoPieces(const TensorDesc &inFile, const Box &box) {
  std::vector<Box> pieces;
  if (box.elements() > 0)
    cut(inFile, box, pieces);
  return pieces;
}

void readPiece(const FileTensor &from, const Box &piece, const TensorDesc &desc, void *to,
               std::vector<char> &staging) {
  uint64_t begin = from.offset + static_cast<uint64_t>(offsetOf(from.desc, piece.begin)) *
                                     sizeOf(from.desc.dtype);
  uint64_t span = spanOf(from.desc, piece.size);
  if (from.desc.dtype == desc.dtype && isRun(from.desc, piece.size) && isRun(desc, piece.size)) {
    from.file->read(begin, to, span);
    return;
  }
  if (staging.size() < span)
    staging.resize(span);
  from.file->read(begin, staging.data(), span);
  scatter(from, piece, desc, static_cast<char *>(to), staging.data());
}

} // namespace deepshard::runtime
