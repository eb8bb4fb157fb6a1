//===- Pieces.cpp - which elements of a parameter a rank has ----------------------------------===//

#include "runtime/plan/Pieces.h"

#include <algorithm>

namespace deepshard::runtime {

static int64_t product(const std::vector<int64_t> &sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    result *= size;
  return result;
}

int64_t Box::elements() const { return product(size); }

Cut::Cut(const Mesh &mesh, const planpb::Parameter &parameter) {
  const auto &given = parameter.cut_shape().empty() ? parameter.shape() : parameter.cut_shape();
  shape.assign(given.begin(), given.end());
  padded = shape;
  if (!parameter.padded_shape().empty())
    padded.assign(parameter.padded_shape().begin(), parameter.padded_shape().end());
  piece = padded;
  for (int i = 0; i < parameter.layout().dims_size(); ++i)
    piece[i] /= static_cast<int64_t>(mesh.parts(parameter.layout().dims(i)));
}

uint64_t Cut::pieceElements() const { return static_cast<uint64_t>(product(piece)); }

/// The boxes that make up the elements `begin` to `end` of a row-major box of `shape`: what is left
/// of the first row, whole rows, what the last row has, each again by the dimensions inside.
static void boxesOfRange(const std::vector<int64_t> &shape, size_t dimension, Box box,
                         int64_t begin, int64_t end, std::vector<Box> &boxes) {
  if (begin >= end)
    return;
  if (dimension == shape.size()) {
    boxes.push_back(std::move(box));
    return;
  }
  int64_t row = 1;
  for (size_t i = dimension + 1; i < shape.size(); ++i)
    row *= shape[i];
  auto rows = [&](int64_t first, int64_t count) {
    Box part = box;
    part.begin[dimension] = first;
    part.size[dimension] = count;
    return part;
  };
  int64_t firstRow = begin / row;
  int64_t lastRow = end / row; // the row that `end` lies in
  if (firstRow == lastRow)
    return boxesOfRange(shape, dimension + 1, rows(firstRow, 1), begin % row, end % row, boxes);
  if (begin % row != 0) {
    boxesOfRange(shape, dimension + 1, rows(firstRow, 1), begin % row, row, boxes);
    ++firstRow;
  }
  if (firstRow < lastRow)
    boxes.push_back(rows(firstRow, lastRow - firstRow));
  boxesOfRange(shape, dimension + 1, rows(lastRow, 1), 0, end % row, boxes);
}

std::vector<Held> heldBoxes(const Mesh &mesh, const planpb::Bucket &bucket,
                            const planpb::Parameter &parameter, uint64_t rank) {
  Cut cut(mesh, parameter);
  auto partElements = static_cast<int64_t>(bucket.elements() / mesh.parts(bucket.axes()));
  int64_t partBegin = static_cast<int64_t>(mesh.part(bucket.axes(), rank)) * partElements;
  auto memberBegin = static_cast<int64_t>(parameter.bucket_offset());
  auto pieceElements = static_cast<int64_t>(cut.pieceElements());
  int64_t begin = std::clamp<int64_t>(partBegin - memberBegin, 0, pieceElements);
  int64_t end = std::clamp<int64_t>(partBegin + partElements - memberBegin, 0, pieceElements);
  std::vector<Box> boxes;
  boxesOfRange(cut.piece, 0, {std::vector<int64_t>(cut.piece.size(), 0), cut.piece}, begin, end,
               boxes);
  std::vector<Held> result;
  for (Box &box : boxes) {
    int64_t flat = 0;
    bool isPadding = false;
    for (size_t i = 0; i < box.begin.size(); ++i) {
      flat = flat * cut.piece[i] + box.begin[i];
      if (parameter.layout().dims_size() > 0)
        box.begin[i] +=
            static_cast<int64_t>(mesh.part(parameter.layout().dims(static_cast<int>(i)), rank)) *
            cut.piece[i];
      box.size[i] = std::min(box.size[i], cut.shape[i] - box.begin[i]);
      isPadding |= box.size[i] <= 0;
    }
    if (!isPadding)
      result.push_back({std::move(box), static_cast<uint64_t>(memberBegin + flat - partBegin)});
  }
  return result;
}

uint64_t lowestHolder(const Mesh &mesh, const planpb::Bucket &bucket,
                      const planpb::Parameter &parameter, uint64_t rank) {
  uint64_t lowest = 0;
  auto keep = [&](const planpb::AxisList &list) {
    for (const Digit &digit : mesh.digits(list))
      lowest += digit.of(rank) * digit.stride;
  };
  keep(bucket.axes());
  for (const planpb::AxisList &list : parameter.layout().dims())
    keep(list);
  return lowest;
}

} // namespace deepshard::runtime
