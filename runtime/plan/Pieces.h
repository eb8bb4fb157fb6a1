//===- Pieces.h - which elements of a parameter a rank has ------------------------------------===//
//
// A parameter [6, 5], padded to [6, 6], cut by [{"tensor"}, {}] with "tensor" = 2, in a bucket that
// is cut over "data" = 2. Rank (data 0, tensor 1) computes with rows 3 to 5; of these 18 elements,
// which start at bucket_offset 8 of 32, the first half of the bucket has the first 8:
//
//     rows 0-2: other ranks       bucket   |0      8|       16|                 32|
//   3 |x x x x x 0|               has      |  other | x x x x x 0 x x | x x x ... |
//   4 |x x|x x x 0|                        |<--- data 0 ---->|<---- data 1 ------>|
//   5 |x x x x x 0|
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_PIECES_H
#define DEEPSHARD_RUNTIME_PLAN_PIECES_H

#include "runtime/plan/Mesh.h"

#include <cstdint>
#include <vector>

namespace deepshard::runtime {

/// A box in a tensor.
struct Box {
  std::vector<int64_t> begin; ///< per dimension
  std::vector<int64_t> size;
  int64_t elements() const;
};

/// How a parameter is cut, with what the plan leaves out filled in. Dimensions are those of
/// `cut_shape`.
struct Cut {
  std::vector<int64_t> shape;  ///< without padding
  std::vector<int64_t> padded; ///< with padding
  std::vector<int64_t> piece;  ///< of one rank
  /// Throws nothing; the parameter must follow rule 9 of docs/plan-format.md.
  Cut(const Mesh &mesh, const planpb::Parameter &parameter);
  uint64_t pieceElements() const;
};

/// A box of a parameter that lies in a rank's part of a bucket.
struct Held {
  Box box;             ///< in dimensions of Cut.shape; no padding
  uint64_t offset = 0; ///< element of the rank's part where the box's first element lies
};

/// What `rank` holds of a parameter: boxes in row-major order, disjoint. Elements of a box lie in
/// the part with the row-major strides of Cut.piece. At most two boxes a dimension and one more.
std::vector<Held> heldBoxes(const Mesh &mesh, const planpb::Bucket &bucket,
                            const planpb::Parameter &parameter, uint64_t rank);

/// The lowest rank that holds what `rank` holds of the parameter; every element has one such rank.
uint64_t lowestHolder(const Mesh &mesh, const planpb::Bucket &bucket,
                      const planpb::Parameter &parameter, uint64_t rank);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_PIECES_H
