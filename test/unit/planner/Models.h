//===- Models.h - models as importers leave them, and how Megatron splits them ----------------===//
//
// Transformers of several kinds in the graph dialect: one function @forward whose arguments and
// results are marked as those of an imported, simplified model, under the names that the model has
// in Hugging Face's library. Parameters have no data.
//
// Beside each, the layouts that Megatron-LM gives its parameters over the axis "tensor" (Shoeybi et
// al., arXiv 1909.08053): columns of what reads the residual stream, rows of what writes to it,
// embeddings and heads along the vocabulary, experts one after another.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_PLANNER_MODELS_H
#define DEEPSHARD_TEST_UNIT_PLANNER_MODELS_H

#include "frontends/config/Config.h"

#include <string>
#include <vector>

namespace deepshard {

/// Element type of parameters and activations.
enum class ModelPrecision { F32, F64 };

/// Decoder: RMS norm, rotary positions, grouped key/value heads, gated SiLU, a head of its own.
struct LlamaSizes {
  int64_t layers, width, heads, keyValueHeads, hidden, vocabulary, batch, sequence;
};
std::string llama(const LlamaSizes &sizes, ModelPrecision precision);
std::vector<Pin> llamaPins();

/// Encoder: learned positions and segments, norms behind the residuals, a mask for padded tokens, a
/// head with a bias that predicts the tokens which have a label.
struct BertSizes {
  int64_t layers, width, heads, hidden, vocabulary, batch, sequence;
  bool isTied; // the head reads the table of the embedding
};
std::string bert(const BertSizes &sizes, ModelPrecision precision);
std::vector<Pin> bertPins();

/// Encoder of images, which are cut into patches of `patch` x `patch` pixels.
struct VitSizes {
  int64_t layers, width, heads, hidden, classes, batch, image, patch;
  bool isConvolution; // patches are embedded by a convolution, else cut out by views
};
std::string vit(const VitSizes &sizes, ModelPrecision precision);
std::vector<Pin> vitPins();

/// Blocks of causal attention and of experts, of which a router chooses one per token. All tokens
/// are dispatched to all experts, as zeros where another one is chosen. The loss is the mean
/// squared distance from a target.
struct MoeSizes {
  int64_t layers, width, heads, experts, hidden, batch, sequence;
};
std::string moe(const MoeSizes &sizes, ModelPrecision precision);
std::vector<Pin> moePins();

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_PLANNER_MODELS_H
