/// The training configuration: DeepSpeed's ds_config.json, read strictly.
///
/// DeepSpeed's arithmetic, defaults and formulas hold; what it ignores silently is an error here.
/// docs/config.md lists the keys.
#pragma once

#include "frontends/config/Diagnostic.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace deepshard {

struct Optimizer {
  std::string type =
      "AdamW"; ///< "AdamW" (decoupled weight decay) or "Adam" (decay added to the gradient)
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8; ///< outside the bias-corrected root
  double weightDecay = 0;
  bool biasCorrection = true;
  bool adamWMode = true; ///< the same as type == "AdamW"
};

struct Scheduler {
  std::string
      type; ///< "WarmupLR", "WarmupDecayLR", "WarmupCosineLR"; empty: constant learning rate
  /// Every numeric parameter of the type under DeepSpeed's name, defaults filled in. warmup_max_lr
  /// of WarmupLR is the optimizer's lr if absent; WarmupCosineLR scales the optimizer's lr.
  std::map<std::string, double> numbers;
  std::string warmupType = "log"; ///< "log" or "linear"
};

/// Ranks along each axis.
struct Mesh {
  int64_t data = 1;    ///< ranks with different samples
  int64_t context = 1; ///< ranks with different pieces of the same samples
  int64_t tensor = 1;  ///< ranks that split tensors
  int64_t pipe = 1;    ///< stages of the pipeline

  /// Name and size of every axis, outermost first.
  std::array<std::pair<std::string_view, int64_t>, 4> axes() const {
    return {{{"pipe", pipe}, {"data", data}, {"context", context}, {"tensor", tensor}}};
  }
  /// The product of the axes.
  int64_t ranks() const { return pipe * data * context * tensor; }
};

/// What is split over the data axis, when gradients are reduced and parameters gathered.
struct Zero {
  int stage = 0; ///< 0 to 3: nothing, optimizer state, gradients too, parameters too
  std::string gradientReduction = "step"; ///< "step" or "micro_batch": after which
  /// Stage 3: "regather" (for the forward and again for the backward), "micro_batch" (kept from
  /// the forward over the backward) or "step" (kept over all micro-batches of a step).
  std::string parameterGather = "regather";
  /// Parameters of at most so many elements are kept whole at stage 3. It decides the members of
  /// the buckets, which must not depend on the stage.
  int64_t persistenceThreshold = 100000;
  bool overlap = true; ///< whether collectives run beside computations
  /// Stage 3: neighbours among the data ranks that hold all parameters between them (MiCS), and
  /// from whom the backward gathers (hpZ); both are mesh.data if they are off.
  int64_t shardSize = 1;
  int64_t regatherSize = 1;
};

/// What the backward computes again instead of keeping it.
struct Recompute {
  std::string mode = "selective"; ///< "none", "selective" (what is cheap) or "full" (whole blocks)
  int64_t keptInputs = 0;         ///< "full": about so many inputs of blocks are kept; 0: all
};

/// The type of a model's products. Sums, master weights, gradients and optimizer states are f32 in
/// all three.
enum class Precision { F32, BF16, F16 };

/// What the loss is multiplied by, so that gradients in f16 do not vanish. The rules are those of
/// `graph.update_loss_scale`.
struct LossScale {
  double initial = 65536;
  int64_t window = 1000; ///< steps without overflow after which it doubles; 0: it is constant
  int64_t hysteresis = 2;
  bool consecutiveHysteresis = false;
  double minimum = 1;
};

/// A layout that the user asks for.
struct Pin {
  std::string pattern; ///< over names of parameters: `*` is any text, `?` one character
  /// Per dimension of the parameter, as the model has it, the axes that split it, major to minor.
  std::vector<std::vector<std::string>> dims;
  // Where it was written, for messages (Diagnostic).
  std::string file;
  int line = 0;
  std::string key;

  /// Whether the whole name fits the pattern.
  bool matches(std::string_view name) const;
};

struct TrainingConfig {
  int64_t trainBatch = 0; ///< samples a step over all ranks = microBatch x accumulation x mesh.data
  int64_t microBatch = 0; ///< samples of one rank's micro-batch
  int64_t accumulation = 1;           ///< micro-batches a step
  std::optional<Optimizer> optimizer; ///< absent only when not training
  Scheduler scheduler;
  double gradientClipping = 1.0; ///< bound of the gradient's global L2 norm; 0: off
  int64_t stepsPerPrint = 0;     ///< 0: not given
  Precision precision = Precision::F32;
  bool autocast = false; ///< parameters stay in f32; else they have the type of products
  std::optional<LossScale> lossScale; ///< of f16
  Mesh mesh;
  /// How attention is split over mesh.context: "auto", "ulysses" (by heads) or "ring" (by blocks).
  std::string attention = "auto";
  std::vector<Pin> pins;          ///< the first that matches a parameter's name holds
  bool searchLayouts = true;      ///< of what is not pinned; false: follow from the pins alone
  std::string objective = "time"; ///< of that search: "time" or "traffic"
  Zero zero;
  Recompute recompute;
  int64_t logitChunks = 0;      ///< logits and their gradient at so many times; 0: as many as pay
  int64_t bucketSize = 4194304; ///< elements
  /// How GPUs add the gradient of an embedding: "sorted", in one order, or by "atomics", in any.
  std::string embeddingGradient = "sorted";
  uint64_t hash = 0; ///< XXH3-64 of str()

  /// Every setting in effect, one `key = value` a line, floats exact.
  std::string str() const;
};

struct ConfigOptions {
  /// `KEY=VALUE` each, applied in order: KEY dotted, VALUE read as JSON, else taken as a string. A
  /// KEY that begins with a key of the section "deepshard" (mesh.data) stands for deepshard.KEY.
  std::vector<std::string> overrides;
  bool training = true; ///< false: optimizer and batch sizes may be absent (micro-batch 1)
};

struct ConfigResult {
  std::optional<TrainingConfig> config;
  std::vector<Diagnostic> errors; ///< all faults; empty if and only if `config` is set
  std::vector<Diagnostic>
      notes; ///< worth telling: keys accepted without effect, defaults that surprise
};

/// Reads the file at `path`.
ConfigResult parseConfigFile(const std::string &path, const ConfigOptions &options = {});

/// Reads `text`; `name` stands for the file's name in messages.
ConfigResult parseConfigText(std::string_view text, const std::string &name,
                             const ConfigOptions &options = {});

} // namespace deepshard
