//===- Inputs.h - what the user says about a model's inputs -----------------------------------===//

#ifndef DEEPSHARD_FRONTENDS_INPUTS_H
#define DEEPSHARD_FRONTENDS_INPUTS_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deepshard {

/// Element types of the graph dialect, under the names of the command line and of MLIR.
inline constexpr std::string_view kElementTypeNames[] = {"f32", "bf16", "f16", "f64",
                                                         "i64", "i32",  "i8",  "i1"};

/// One `--input NAME=DTYPE[AxBxC]`. A size may be the word `batch`; `@context` behind another size
/// marks the sequence, which the context axis of the mesh cuts.
struct InputSpec {
  std::string name;
  /// One of kElementTypeNames.
  std::string elementType;
  /// Sizes; at `batchDimension` the value means nothing until `resolve`.
  std::vector<int64_t> shape;
  std::optional<unsigned> batchDimension;
  std::optional<unsigned> sequenceDimension;

  /// The shape with `batch` in the place of the dimension called so.
  std::vector<int64_t> resolve(int64_t batch) const;
  /// As the user would write it: `input_ids=i64[batchx256@context]`.
  std::string toString() const;
};

/// Reads `NAME=DTYPE[AxBxC]`; `DTYPE[]` is a scalar. On a fault returns nothing and sets `error` to
/// a message that quotes `text`, says what is wrong and shows the form expected.
std::optional<InputSpec> parseInputSpec(std::string_view text, std::string &error);

} // namespace deepshard

#endif // DEEPSHARD_FRONTENDS_INPUTS_H
