//===- Models.cpp - models as importers leave them, and how Megatron splits them --------------===//

#include "test/unit/planner/Models.h"

#include "dialects/graph/PrimitiveBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <cmath>

using namespace mlir;

namespace deepshard {

namespace {

constexpr int64_t kIgnored = -100;

/// An empty @forward in a context of its own.
struct Forward {
  Forward() : ops(&context) {
    context.loadDialect<func::FuncDialect, graph::GraphDialect>();
    function =
        func::FuncOp::create(ops, ops.getUnknownLoc(), "forward", ops.getFunctionType({}, {}));
    ops.setInsertionPointToStart(function->addEntryBlock());
  }

  MLIRContext context{MLIRContext::Threading::DISABLED};
  OpBuilder ops;
  OwningOpRef<func::FuncOp> function;
};

/// Layers of models, appended to @forward. A parameter becomes an argument where it is named.
class Writer : private Forward, public graph::PrimitiveBuilder {
public:
  explicit Writer(ModelPrecision precision)
      : PrimitiveBuilder(ops, ops.getUnknownLoc()),
        element(precision == ModelPrecision::F32 ? Type(ops.getF32Type()) : ops.getF64Type()) {}

  static ArrayRef<int64_t> shapeOf(Value value) { return typeOf(value).getShape(); }
  static SmallVector<int64_t> dimsOf(Value value) {
    return llvm::to_vector(llvm::seq<int64_t>(0, typeOf(value).getRank()));
  }

  Value parameter(const std::string &name, ArrayRef<int64_t> shape) {
    return argument(RankedTensorType::get(shape, element),
                    {attribute(graph::kParameterAttr, ops.getStringAttr(name))});
  }
  Value input(const std::string &name, ArrayRef<int64_t> shape) {
    return input(name, RankedTensorType::get(shape, element), {});
  }
  /// Indices of something of size `bound`.
  Value indices(const std::string &name, ArrayRef<int64_t> shape, int64_t bound) {
    return input(name, RankedTensorType::get(shape, ops.getI64Type()),
                 {attribute(graph::kIndexBoundAttr, ops.getI64IntegerAttr(bound))});
  }
  Value labels(ArrayRef<int64_t> shape, int64_t bound) {
    return input("labels", RankedTensorType::get(shape, ops.getI64Type()),
                 {attribute(graph::kIndexBoundAttr, ops.getI64IntegerAttr(bound)),
                  attribute(graph::kIgnoredIndexAttr, ops.getI64IntegerAttr(kIgnored))});
  }

  Value embedding(Value table, Value ids) {
    return graph::EmbeddingOp::create(ops, loc(), table, ids);
  }
  Value linear(Value x, Value weight, Value bias = nullptr) {
    return graph::LinearOp::create(ops, loc(), x, weight, bias, /*transpose_weight=*/true);
  }
  /// torch.nn.Linear.
  Value linear(Value x, const std::string &name, int64_t columns, bool hasBias) {
    Value weight = parameter(name + ".weight", {columns, shapeOf(x).back()});
    return linear(x, weight, hasBias ? parameter(name + ".bias", columns) : nullptr);
  }
  Value layerNorm(Value x, const std::string &name) {
    Value weight = parameter(name + ".weight", shapeOf(x).back());
    Value bias = parameter(name + ".bias", shapeOf(x).back());
    return graph::LayerNormOp::create(ops, loc(), x, weight, bias, ops.getF64FloatAttr(1e-5))
        .getY();
  }
  /// x / sqrt(mean(x^2) + eps) weight.
  Value rmsNorm(Value x, const std::string &name) {
    const int64_t last = typeOf(x).getRank() - 1;
    Value mean = div(sum(mul(x, x), last), static_cast<double>(shapeOf(x).back()));
    Value normal = mul(x, rsqrt(add(mean, 1e-5)));
    return mul(normal, parameter(name + ".weight", shapeOf(x).back()));
  }
  Value gelu(Value x) {
    return graph::GeluOp::create(ops, loc(), x.getType(), x, /*tanh=*/UnitAttr());
  }
  Value silu(Value x) { return mul(x, sigmoid(x)); }
  Value softmax(Value x, int64_t dim) {
    return graph::SoftmaxOp::create(ops, loc(), x.getType(), x, dim);
  }
  Value matmul(Value lhs, Value rhs, ArrayRef<int64_t> lhsBatch, ArrayRef<int64_t> rhsBatch,
               int64_t lhsContract, int64_t rhsContract) {
    return graph::MatmulOp::create(ops, loc(), lhs, rhs, lhsBatch, rhsBatch, ArrayRef(lhsContract),
                                   ArrayRef(rhsContract));
  }
  Value convolution(Value x, Value weight, int64_t stride) {
    return graph::ConvolutionOp::create(ops, loc(), x, weight, {stride, stride}, {0, 0}, {0, 0},
                                        {1, 1}, /*groups=*/1);
  }
  Value transpose(Value x, ArrayRef<int64_t> permutation) {
    return graph::TransposeOp::create(ops, loc(), x, permutation);
  }
  Value concat(ArrayRef<Value> parts, int64_t dim) {
    return graph::ConcatOp::create(ops, loc(), parts, dim);
  }
  /// Indices `start` to `limit` - 1 of `dim`.
  Value slice(Value x, int64_t dim, int64_t start, int64_t limit) {
    SmallVector<int64_t> starts(shapeOf(x).size(), 0), limits(shapeOf(x));
    starts[dim] = start;
    limits[dim] = limit;
    return graph::SliceOp::create(ops, loc(), x, starts, limits,
                                  SmallVector<int64_t>(shapeOf(x).size(), 1));
  }
  /// 1 x ... of `x`, as often as there are samples.
  Value forEachSample(Value x, int64_t batch) {
    SmallVector<int64_t> shape(shapeOf(x)), dims = dimsOf(x);
    shape[0] = batch;
    return graph::BroadcastOp::create(ops, loc(), typeOf(x).clone(shape), x, dims);
  }
  Value positions(int64_t count) { return iota(ops.getI64Type(), count, 0); }
  /// Which elements are not 0.
  Value isSet(Value x) { return convert(x, ops.getI1Type()); }
  /// True as 1, false as 0.
  Value asNumber(Value x) { return convert(x, element); }

  /// A projection of x (b x s x w) to heads: b x heads x s x size.
  Value project(Value x, const std::string &name, int64_t heads, int64_t size, bool hasBias) {
    Value y = linear(x, name, heads * size, hasBias);
    return transpose(reshape(y, {shapeOf(x)[0], shapeOf(x)[1], heads, size}), {0, 2, 1, 3});
  }
  /// Attention over heads, its result as b x s x (heads size).
  Value attend(Value q, Value k, Value v, Value mask, bool isCausal) {
    ArrayRef<int64_t> shape = shapeOf(q);
    auto attention = graph::AttentionOp::create(
        ops, loc(), q, k, v, mask, /*counter=*/Value(),
        ops.getF64FloatAttr(1 / std::sqrt(static_cast<double>(shape[3]))),
        isCausal ? ops.getUnitAttr() : UnitAttr(), ops.getF64FloatAttr(0),
        ops.getI64IntegerAttr(0));
    return reshape(transpose(attention.getO(), {0, 2, 1, 3}),
                   {shape[0], shape[2], shape[1] * shape[3]});
  }
  /// The mean cross entropy of the rows that have a label.
  Value tokenLoss(Value logits, Value labels) {
    const int64_t rows = typeOf(labels).getNumElements();
    Value flat = reshape(logits, {rows, shapeOf(logits).back()});
    auto loss = graph::CrossEntropyOp::create(ops, loc(), flat, reshape(labels, rows), kIgnored);
    return div(loss.getLossSum(), loss.getCount());
  }
  Value meanSquare(Value x) {
    return div(sum(mul(x, x), dimsOf(x), /*keep=*/false),
               static_cast<double>(typeOf(x).getNumElements()));
  }
  /// A table that the importer folds: `value` of position and column.
  Value table(int64_t positions, int64_t columns,
              llvm::function_ref<double(int64_t, int64_t)> value) {
    SmallVector<Attribute> values;
    for (int64_t position = 0; position < positions; ++position)
      for (int64_t column = 0; column < columns; ++column)
        values.push_back(ops.getFloatAttr(element, value(position, column)));
    auto type = RankedTensorType::get({positions, columns}, element);
    return graph::ConstantOp::create(ops, loc(), DenseElementsAttr::get(type, values));
  }

  /// The function's text; it returns the loss.
  std::string finish(Value loss) {
    func::ReturnOp::create(ops, loc(), loss);
    function->setFunctionType(ops.getFunctionType(function->getArgumentTypes(), loss.getType()));
    function->setResultAttr(0, graph::kOutputAttr, ops.getStringAttr("loss"));
    std::string text;
    llvm::raw_string_ostream(text) << *function;
    return text;
  }

private:
  Location loc() { return ops.getUnknownLoc(); }
  NamedAttribute attribute(StringRef name, Attribute value) {
    return ops.getNamedAttr(name, value);
  }
  Value argument(RankedTensorType type, ArrayRef<NamedAttribute> attributes) {
    const unsigned index = function->getNumArguments();
    bool isInserted =
        succeeded(function->insertArgument(index, type, ops.getDictionaryAttr(attributes), loc()));
    assert(isInserted && "arguments can be appended");
    (void)isInserted;
    return function->getArgument(index);
  }
  Value input(const std::string &name, RankedTensorType type,
              SmallVector<NamedAttribute> attributes) {
    attributes.push_back(attribute(graph::kInputAttr, ops.getStringAttr(name)));
    attributes.push_back(attribute(graph::kBatchDimensionAttr, ops.getI64IntegerAttr(0)));
    return argument(type, attributes);
  }

  Type element;
};

std::string layerPath(const char *layers, int64_t layer) {
  return layers + std::to_string(layer) + ".";
}

using Dims = std::vector<std::vector<std::string>>;

std::vector<Pin> pins(std::initializer_list<std::pair<const char *, Dims>> layouts) {
  std::vector<Pin> result;
  for (const auto &[pattern, dims] : layouts) {
    result.emplace_back().pattern = pattern;
    result.back().dims = dims;
  }
  return result;
}

// torch.nn.Linear has its columns in front.
const Dims kColumns = {{"tensor"}, {}}, kRows = {{}, {"tensor"}}, kBias = {{"tensor"}};
const Dims kVocabulary = {{"tensor"}, {}}, kExperts = {{"tensor"}, {}, {}};

} // namespace

//===------------------------------------------------------------------------------------------===//
// Llama
//===------------------------------------------------------------------------------------------===//

std::string llama(const LlamaSizes &sizes, ModelPrecision precision) {
  Writer w(precision);
  const int64_t size = sizes.width / sizes.heads;
  Value ids = w.indices("input_ids", {sizes.batch, sizes.sequence}, sizes.vocabulary);
  Value labels = w.labels({sizes.batch, sizes.sequence}, sizes.vocabulary);

  // Columns i and i + size / 2 of a head turn together, by position x 10000^(-2 i / size).
  auto angle = [&](int64_t position, int64_t column) {
    const auto pair = static_cast<double>(column % (size / 2));
    return static_cast<double>(position) * std::pow(10000, -2 * pair / static_cast<double>(size));
  };
  Value cos =
      w.table(sizes.sequence, size, [&](int64_t p, int64_t c) { return std::cos(angle(p, c)); });
  Value sin =
      w.table(sizes.sequence, size, [&](int64_t p, int64_t c) { return std::sin(angle(p, c)); });
  auto rotate = [&](Value x) {
    Value minus = w.neg(w.slice(x, 3, size / 2, size));
    Value turned = w.concat({minus, w.slice(x, 3, 0, size / 2)}, 3);
    Value along = w.mul(x, cos);
    return w.add(along, w.mul(turned, sin));
  };

  Value table = w.parameter("model.embed_tokens.weight", {sizes.vocabulary, sizes.width});
  Value x = w.embedding(table, ids);
  for (int64_t layer = 0; layer < sizes.layers; ++layer) {
    const std::string path = layerPath("model.layers.", layer);
    Value h = w.rmsNorm(x, path + "input_layernorm");
    Value q = rotate(w.project(h, path + "self_attn.q_proj", sizes.heads, size, false));
    Value k = rotate(w.project(h, path + "self_attn.k_proj", sizes.keyValueHeads, size, false));
    Value v = w.project(h, path + "self_attn.v_proj", sizes.keyValueHeads, size, false);
    Value attended = w.attend(q, k, v, /*mask=*/nullptr, /*isCausal=*/true);
    x = w.add(x, w.linear(attended, path + "self_attn.o_proj", sizes.width, false));
    h = w.rmsNorm(x, path + "post_attention_layernorm");
    Value gate = w.silu(w.linear(h, path + "mlp.gate_proj", sizes.hidden, false));
    Value up = w.linear(h, path + "mlp.up_proj", sizes.hidden, false);
    x = w.add(x, w.linear(w.mul(gate, up), path + "mlp.down_proj", sizes.width, false));
  }
  Value logits = w.linear(w.rmsNorm(x, "model.norm"), "lm_head", sizes.vocabulary, false);
  return w.finish(w.tokenLoss(logits, labels));
}

std::vector<Pin> llamaPins() {
  return pins({{"model.embed_tokens.weight", kVocabulary},
               {"*.self_attn.o_proj.weight", kRows},
               {"*.self_attn.?_proj.weight", kColumns},
               {"*.mlp.gate_proj.weight", kColumns},
               {"*.mlp.up_proj.weight", kColumns},
               {"*.mlp.down_proj.weight", kRows},
               {"lm_head.weight", kVocabulary}});
}

//===------------------------------------------------------------------------------------------===//
// BERT
//===------------------------------------------------------------------------------------------===//

std::string bert(const BertSizes &sizes, ModelPrecision precision) {
  Writer w(precision);
  const int64_t width = sizes.width, size = width / sizes.heads;
  const std::vector<int64_t> tokens = {sizes.batch, sizes.sequence};
  Value ids = w.indices("input_ids", tokens, sizes.vocabulary);
  Value isToken = w.indices("attention_mask", tokens, 2);
  Value segments = w.indices("token_type_ids", tokens, 2);
  Value labels = w.labels(tokens, sizes.vocabulary);
  Value mask = w.reshape(w.isSet(isToken), {sizes.batch, 1, 1, sizes.sequence});

  Value words = w.parameter("bert.embeddings.word_embeddings.weight", {sizes.vocabulary, width});
  Value places = w.parameter("bert.embeddings.position_embeddings.weight", {sizes.sequence, width});
  Value types = w.parameter("bert.embeddings.token_type_embeddings.weight", {2, width});
  Value x = w.embedding(words, ids);
  x = w.add(x, w.embedding(types, segments));
  x = w.add(x, w.embedding(places, w.positions(sizes.sequence)));
  x = w.layerNorm(x, "bert.embeddings.LayerNorm");
  for (int64_t layer = 0; layer < sizes.layers; ++layer) {
    const std::string path = layerPath("bert.encoder.layer.", layer);
    Value q = w.project(x, path + "attention.self.query", sizes.heads, size, true);
    Value k = w.project(x, path + "attention.self.key", sizes.heads, size, true);
    Value v = w.project(x, path + "attention.self.value", sizes.heads, size, true);
    Value attended = w.attend(q, k, v, mask, /*isCausal=*/false);
    x = w.add(x, w.linear(attended, path + "attention.output.dense", width, true));
    x = w.layerNorm(x, path + "attention.output.LayerNorm");
    Value h = w.gelu(w.linear(x, path + "intermediate.dense", sizes.hidden, true));
    x = w.add(x, w.linear(h, path + "output.dense", width, true));
    x = w.layerNorm(x, path + "output.LayerNorm");
  }
  Value h = w.gelu(w.linear(x, "cls.predictions.transform.dense", width, true));
  h = w.layerNorm(h, "cls.predictions.transform.LayerNorm");
  Value head = sizes.isTied
                   ? words
                   : w.parameter("cls.predictions.decoder.weight", {sizes.vocabulary, width});
  Value logits = w.linear(h, head, w.parameter("cls.predictions.bias", sizes.vocabulary));
  return w.finish(w.tokenLoss(logits, labels));
}

std::vector<Pin> bertPins() {
  return pins({{"*.word_embeddings.weight", kVocabulary},
               {"*.attention.self.*.weight", kColumns},
               {"*.attention.self.*.bias", kBias},
               {"*.attention.output.dense.weight", kRows},
               {"*.intermediate.dense.weight", kColumns},
               {"*.intermediate.dense.bias", kBias},
               {"bert.encoder.layer.*.output.dense.weight", kRows},
               {"cls.predictions.decoder.weight", kVocabulary},
               {"cls.predictions.bias", kBias}});
}

//===------------------------------------------------------------------------------------------===//
// ViT
//===------------------------------------------------------------------------------------------===//

std::string vit(const VitSizes &sizes, ModelPrecision precision) {
  Writer w(precision);
  constexpr int64_t kChannels = 3;
  const int64_t width = sizes.width, size = width / sizes.heads, batch = sizes.batch;
  const int64_t side = sizes.image / sizes.patch, patches = side * side, patch = sizes.patch;
  Value pixels = w.input("pixel_values", {batch, kChannels, sizes.image, sizes.image});
  Value labels = w.labels(batch, sizes.classes);

  const std::string projection = "vit.embeddings.patch_embeddings.projection";
  Value x;
  if (sizes.isConvolution) {
    Value weight = w.parameter(projection + ".weight", {width, kChannels, patch, patch});
    Value bias = w.parameter(projection + ".bias", width);
    x = w.convolution(pixels, weight, patch);
    x = w.transpose(w.reshape(x, {batch, width, patches}), {0, 2, 1});
    x = w.add(x, bias);
  } else {
    x = w.reshape(pixels, {batch, kChannels, side, patch, side, patch});
    x = w.transpose(x, {0, 2, 4, 1, 3, 5});
    x = w.linear(w.reshape(x, {batch, patches, kChannels * patch * patch}), projection, width,
                 true);
  }
  Value first = w.forEachSample(w.parameter("vit.embeddings.cls_token", {1, 1, width}), batch);
  x = w.concat({first, x}, 1);
  x = w.add(x, w.parameter("vit.embeddings.position_embeddings", {1, patches + 1, width}));
  for (int64_t layer = 0; layer < sizes.layers; ++layer) {
    const std::string path = layerPath("vit.encoder.layer.", layer);
    Value h = w.layerNorm(x, path + "layernorm_before");
    Value q = w.project(h, path + "attention.attention.query", sizes.heads, size, true);
    Value k = w.project(h, path + "attention.attention.key", sizes.heads, size, true);
    Value v = w.project(h, path + "attention.attention.value", sizes.heads, size, true);
    Value attended = w.attend(q, k, v, /*mask=*/nullptr, /*isCausal=*/false);
    x = w.add(x, w.linear(attended, path + "attention.output.dense", width, true));
    h = w.layerNorm(x, path + "layernorm_after");
    h = w.gelu(w.linear(h, path + "intermediate.dense", sizes.hidden, true));
    x = w.add(x, w.linear(h, path + "output.dense", width, true));
  }
  x = w.layerNorm(x, "vit.layernorm");
  Value token = w.reshape(w.slice(x, 1, 0, 1), {batch, width});
  return w.finish(w.tokenLoss(w.linear(token, "classifier", sizes.classes, true), labels));
}

std::vector<Pin> vitPins() {
  return pins({{"*.attention.attention.*.weight", kColumns},
               {"*.attention.attention.*.bias", kBias},
               {"*.attention.output.dense.weight", kRows},
               {"*.intermediate.dense.weight", kColumns},
               {"*.intermediate.dense.bias", kBias},
               {"vit.encoder.layer.*.output.dense.weight", kRows}});
}

//===------------------------------------------------------------------------------------------===//
// Mixture of experts
//===------------------------------------------------------------------------------------------===//

/// Top-1 routing (Fedus et al., Switch Transformers, arXiv 2101.03961) as sums over all experts
/// (Lepikhin et al., GShard, arXiv 2006.16668).
static Value experts(Writer &w, Value x, const std::string &path, const MoeSizes &sizes) {
  const int64_t width = sizes.width, hidden = sizes.hidden, count = sizes.experts;
  Value odds = w.softmax(w.linear(x, path + "router.classifier", count, false), 2); // b s e
  Value isChosen = w.asNumber(w.compare("eq", odds, w.max(odds, 2)));
  Value apart = w.reshape(x, {sizes.batch, sizes.sequence, 1, width});
  Value dispatched =
      w.mul(apart, w.reshape(isChosen, {sizes.batch, sizes.sequence, count, 1})); // b s e d
  Value in = w.parameter(path + "experts.wi.weight", {count, width, hidden});
  Value out = w.parameter(path + "experts.wo.weight", {count, hidden, width});
  Value h = w.gelu(w.matmul(dispatched, in, 2, 0, 3, 1)); // e b s f
  Value y = w.matmul(h, out, 0, 0, 3, 1);                 // e b s d
  return w.matmul(w.mul(odds, isChosen), y, {0, 1}, {1, 2}, 2, 0);
}

std::string moe(const MoeSizes &sizes, ModelPrecision precision) {
  Writer w(precision);
  const int64_t width = sizes.width, size = width / sizes.heads;
  Value x = w.input("hidden_states", {sizes.batch, sizes.sequence, width});
  Value target = w.input("target", {sizes.batch, sizes.sequence, width});
  for (int64_t layer = 0; layer < sizes.layers; ++layer) {
    const std::string path = layerPath("block.", layer);
    Value h = w.layerNorm(x, path + "attention_norm");
    Value q = w.project(h, path + "attention.q", sizes.heads, size, false);
    Value k = w.project(h, path + "attention.k", sizes.heads, size, false);
    Value v = w.project(h, path + "attention.v", sizes.heads, size, false);
    Value attended = w.attend(q, k, v, /*mask=*/nullptr, /*isCausal=*/true);
    x = w.add(x, w.linear(attended, path + "attention.o", width, false));
    x = w.add(x, experts(w, w.layerNorm(x, path + "mlp_norm"), path + "mlp.", sizes));
  }
  return w.finish(w.meanSquare(w.sub(x, target)));
}

std::vector<Pin> moePins() {
  return pins({{"*.attention.q.weight", kColumns},
               {"*.attention.k.weight", kColumns},
               {"*.attention.v.weight", kColumns},
               {"*.attention.o.weight", kRows},
               {"*.experts.w?.weight", kExperts}});
}

} // namespace deepshard
