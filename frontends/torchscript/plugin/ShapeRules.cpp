//===- ShapeRules.cpp - what LibTorch's meta device does not know of single ops ---------------===//

#include "frontends/torchscript/plugin/ShapeRules.h"

using namespace deepshard::torchscript;

namespace {

/// The output of attention lies in memory as b x s x h x e, as LibTorch's own kernels leave it:
/// models view it so.
at::Tensor attentionShape(const Values &arguments) {
  const at::Tensor &query = arguments[0].toTensor(), &value = arguments[2].toTensor();
  std::vector<int64_t> shape = query.sizes().vec();
  TORCH_CHECK(shape.size() >= 2 && value.dim() == query.dim(),
              "query and value have unequal ranks");
  shape.back() = value.size(-1);
  if (shape.size() != 4)
    return at::empty(shape, query.options());
  return at::empty({shape[0], shape[2], shape[1], shape[3]}, query.options()).transpose(1, 2);
}

at::Tensor embeddingShape(const Values &arguments) {
  const at::Tensor &table = arguments[0].toTensor(), &ids = arguments[1].toTensor();
  TORCH_CHECK(table.dim() == 2, "the table has rank ", table.dim(), ", expected 2");
  TORCH_CHECK(ids.scalar_type() == at::kLong || ids.scalar_type() == at::kInt, "the ids have type ",
              elementTypeName(ids.scalar_type()), ", expected i64 or i32");
  std::vector<int64_t> shape = ids.sizes().vec();
  shape.push_back(table.size(1));
  return at::empty(shape, table.options());
}

at::Tensor dropoutShape(const Values &arguments) {
  const at::Tensor &input = arguments[0].toTensor();
  double probability = arguments[1].toDouble();
  TORCH_CHECK(probability >= 0 && probability <= 1, "the probability is ", probability,
              ", expected 0 to 1");
  return probability == 0 || !arguments[2].toBool() ? input : at::empty_like(input);
}

at::Tensor layerNormShape(const Values &arguments) {
  const at::Tensor &input = arguments[0].toTensor();
  std::vector<int64_t> normalized = arguments[1].toIntVector();
  TORCH_CHECK(static_cast<int64_t>(normalized.size()) <= input.dim() &&
                  input.sizes().slice(input.dim() - normalized.size()) ==
                      c10::IntArrayRef(normalized),
              "the last dimensions of the input are not the normalized shape ",
              c10::IntArrayRef(normalized));
  return at::empty_like(input, at::MemoryFormat::Contiguous);
}

/// The entry of a list for one spatial dimension; a list of one stands for all of them.
int64_t spatialEntry(const c10::IValue &list, int64_t dim) {
  std::vector<int64_t> values = list.toIntVector();
  return values.size() == 1 ? values[0] : values.at(dim);
}

/// The padding of both sides of a spatial dimension along which the kernel spans `span` elements
/// besides the first: a number for each side, or "same" or "valid".
int64_t spatialPadding(const c10::IValue &padding, int64_t dim, int64_t span) {
  if (padding.isString())
    return padding.toStringRef() == "same" ? span : 0;
  return 2 * spatialEntry(padding, dim);
}

/// (input, weight, bias, stride, padding, dilation, groups), or with `transposed` and
/// `output_padding` in front of the groups. The input may lack the batch.
at::Tensor convolutionShape(const Values &arguments) {
  const at::Tensor &input = arguments[0].toTensor(), &weight = arguments[1].toTensor();
  const int64_t spatial = weight.dim() - 2;
  TORCH_CHECK(spatial > 0 && (input.dim() == weight.dim() || input.dim() == weight.dim() - 1),
              "the input has rank ", input.dim(), " and the weight ", weight.dim());
  const bool isGeneral = arguments[6].isBool();
  const bool isTransposed = isGeneral && arguments[6].toBool();
  const int64_t groups = arguments[isGeneral ? 8 : 6].toInt();
  const int64_t channelDim = input.dim() - spatial - 1;
  const int64_t channels = isTransposed ? weight.size(0) : groups * weight.size(1);
  TORCH_CHECK(input.size(channelDim) == channels, "the input has ", input.size(channelDim),
              " channels, the weight in ", groups, " groups takes ", channels);
  std::vector<int64_t> shape = input.sizes().vec();
  shape[channelDim] = isTransposed ? groups * weight.size(1) : weight.size(0);
  for (int64_t dim = 0; dim < spatial; ++dim) {
    int64_t &size = shape[channelDim + 1 + dim];
    const int64_t stride = spatialEntry(arguments[3], dim);
    const int64_t span = spatialEntry(arguments[5], dim) * (weight.size(2 + dim) - 1);
    const int64_t padding = spatialPadding(arguments[4], dim, span);
    if (isTransposed) {
      size = (size - 1) * stride - padding + span + 1 + spatialEntry(arguments[7], dim);
      continue;
    }
    TORCH_CHECK(size + padding > span, "the kernel reaches over ", span + 1,
                " elements, the input has ", size + padding, " with its padding");
    size = (size + padding - span - 1) / stride + 1;
  }
  return at::empty(shape, input.options());
}

at::Tensor sameShape(const Values &arguments) { return at::empty_like(arguments[0].toTensor()); }

at::Tensor wrapNegative(const at::Tensor &index, int64_t size) {
  return at::where(index.lt(0), index.add(size), index);
}

/// index(self, [Tensor?]): a mask of rank r stands for the positions where it holds, one index per
/// dimension.
void normalizeIndexList(Values &arguments) {
  const at::Tensor &self = arguments[0].toTensor();
  c10::List<std::optional<at::Tensor>> result;
  int64_t dim = 0;
  for (const c10::IValue &element : arguments[1].toListRef()) {
    if (!element.isTensor() || !element.toTensor().defined()) {
      result.push_back(std::nullopt);
      ++dim;
      continue;
    }
    at::Tensor index = element.toTensor();
    bool isMask = index.scalar_type() == at::kBool || index.scalar_type() == at::kByte;
    if (!index.is_meta() && isMask) {
      for (const at::Tensor &positions : index.to(at::kBool).nonzero_numpy())
        result.push_back(positions);
      dim += index.dim();
      continue;
    }
    if (!index.is_meta() && dim < self.dim())
      index = wrapNegative(index, self.size(dim));
    result.push_back(index);
    ++dim;
  }
  arguments[1] = result;
}

} // namespace

bool deepshard::torchscript::dependsOnShapeOnly(std::string_view op) {
  constexpr std::string_view kOps[] = {"aten::zeros_like", "aten::ones_like", "aten::full_like",
                                       "aten::empty_like", "aten::new_zeros", "aten::new_ones",
                                       "aten::new_full",   "aten::new_empty"};
  return std::find(std::begin(kOps), std::end(kOps), op) != std::end(kOps);
}

std::optional<Values> deepshard::torchscript::inferShape(std::string_view op,
                                                         const Values &arguments) {
  using Rule = at::Tensor (*)(const Values &);
  constexpr std::pair<std::string_view, Rule> kRules[] = {
      {"aten::scaled_dot_product_attention", attentionShape},
      {"aten::embedding", embeddingShape},
      {"aten::_convolution", convolutionShape},
      {"aten::_convolution_mode", convolutionShape},
      {"aten::convolution", convolutionShape},
      {"aten::conv1d", convolutionShape},
      {"aten::conv2d", convolutionShape},
      {"aten::conv3d", convolutionShape},
      {"aten::dropout", dropoutShape},
      {"aten::layer_norm", layerNormShape},
      {"aten::group_norm", sameShape},
      {"aten::abs", sameShape},
      {"aten::relu", sameShape},
      {"aten::relu6", sameShape},
      {"aten::hardtanh", sameShape},
      {"aten::log_sigmoid", sameShape},
      {"aten::roll", sameShape},
      {"aten::flip", sameShape},
  };
  for (auto [name, rule] : kRules)
    if (name == op)
      return Values{rule(arguments)};
  return std::nullopt;
}

bool deepshard::torchscript::needsZeros(std::string_view op, const Values &arguments) {
  constexpr std::string_view kOps[] = {"aten::floor_divide",
                                       "aten::logical_not",
                                       "aten::logical_and",
                                       "aten::logical_or",
                                       "aten::logical_xor",
                                       "aten::dot",
                                       "aten::vdot",
                                       "aten::var",
                                       "aten::std",
                                       "aten::max",
                                       "aten::min",
                                       "aten::logsumexp",
                                       "aten::cross_entropy_loss",
                                       "aten::nll_loss_nd",
                                       "aten::l1_loss",
                                       "aten::binary_cross_entropy_with_logits",
                                       "aten::norm",
                                       "aten::linalg_vector_norm",
                                       "aten::take_along_dim",
                                       "aten::index_select"};
  if (op == "aten::where" || op == "aten::one_hot")
    return arguments.size() > 2 ||
           (op == "aten::one_hot" && arguments[1].isInt() && arguments[1].toInt() > 0);
  return std::find(std::begin(kOps), std::end(kOps), op) != std::end(kOps);
}

void deepshard::torchscript::keepOneClass(std::string_view op, Values &arguments) {
  if (op != "aten::cross_entropy_loss" && op != "aten::nll_loss_nd")
    return;
  const at::IntArrayRef logits = arguments[0].toTensor().sizes();
  if (logits.empty() || logits[logits.size() > 1 ? 1 : 0] == 0)
    return; // for the op to refuse
  const at::Tensor self = arguments[0].toTensor(), target = arguments[1].toTensor();
  const int64_t dim = self.dim() > 1 ? 1 : 0, classes = self.size(dim);
  // Probabilities of classes instead of a class.
  const bool isProbability = target.sizes() == self.sizes();
  const bool hasWeight = arguments[2].isTensor() && arguments[2].toTensor().defined();
  if (hasWeight && arguments[2].toTensor().sizes() != at::IntArrayRef{classes})
    return;
  arguments[0] = self.narrow(dim, 0, 1);
  if (isProbability)
    arguments[1] = target.narrow(dim, 0, 1);
  if (hasWeight)
    arguments[2] = arguments[2].toTensor().narrow(0, 0, 1);
}

void deepshard::torchscript::normalizeIndices(std::string_view op, Values &arguments) {
  if (op == "aten::index" && arguments[1].isList())
    normalizeIndexList(arguments);
}

void deepshard::torchscript::noteInactiveDropout(ImportedGraph &graph, std::string_view op,
                                                 const Values &arguments, const Place &place) {
  if (op == "aten::dropout" && arguments[1].isDouble() && arguments[1].toDouble() > 0 &&
      arguments[2].isBool() && !arguments[2].toBool())
    graph.inactiveDropouts.push_back(place);
}
