//===- Recorder.cpp - writes down what the evaluator cannot compute ---------------------------===//

#include "frontends/torchscript/plugin/Recorder.h"

#include <charconv>
#include <cstring>

using namespace deepshard::torchscript;

namespace {

constexpr std::pair<at::ScalarType, const char *> kTypes[] = {
    {at::kFloat, "f32"}, {at::kBFloat16, "bf16"}, {at::kHalf, "f16"}, {at::kDouble, "f64"},
    {at::kLong, "i64"},  {at::kInt, "i32"},       {at::kChar, "i8"},  {at::kBool, "i1"}};

/// Row-major contents; dimensions along which they repeat are cut to size 1.
struct Compressed {
  std::vector<int64_t> shape;
  std::vector<char> bytes;
};

/// Whether the `size` slices of each of `outer` runs of `size * sliceBytes` bytes are equal.
bool repeats(const std::vector<char> &bytes, int64_t outer, int64_t size, int64_t sliceBytes) {
  for (int64_t i = 0; i < outer; ++i) {
    const char *run = bytes.data() + i * size * sliceBytes;
    if (std::memcmp(run, run + sliceBytes, (size - 1) * sliceBytes) != 0)
      return false;
  }
  return true;
}

Compressed compress(const at::Tensor &tensor) {
  at::Tensor contiguous = tensor.contiguous();
  const char *data = static_cast<const char *>(contiguous.data_ptr());
  Compressed result{tensor.sizes().vec(), std::vector<char>(data, data + contiguous.nbytes())};
  if (tensor.numel() == 0)
    return result;
  int64_t outer = 1;
  for (int64_t &size : result.shape) {
    int64_t sliceBytes = result.bytes.size() / (outer * size);
    if (size > 1 && repeats(result.bytes, outer, size, sliceBytes)) {
      for (int64_t i = 0; i < outer; ++i)
        std::memmove(result.bytes.data() + i * sliceBytes,
                     result.bytes.data() + i * size * sliceBytes, sliceBytes);
      result.bytes.resize(outer * sliceBytes);
      size = 1;
    }
    outer *= size;
  }
  return result;
}

/// Reads "file.py(12): forward", as the tracer writes a frame of the Python stack.
bool parseFrame(std::string_view text, Place &place) {
  size_t close = text.find("): "), open = text.rfind('(', close);
  if (close == std::string_view::npos || open == std::string_view::npos)
    return false;
  place.file = text.substr(0, open);
  return std::from_chars(text.data() + open + 1, text.data() + close, place.line).ec == std::errc();
}

/// The innermost frame that is not inside the torch package: that is the line the user knows.
bool parseStack(std::string_view text, Place &place) {
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    Place frame;
    if (parseFrame(text.substr(0, end), frame) && frame.file.find("/torch/") == std::string::npos) {
      place.file = frame.file;
      place.line = frame.line;
      return true;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

} // namespace

std::string deepshard::torchscript::elementTypeName(at::ScalarType type) {
  for (auto [scalar, name] : kTypes)
    if (scalar == type)
      return name;
  return c10::toString(type);
}

std::optional<at::ScalarType> deepshard::torchscript::scalarType(std::string_view elementType) {
  for (auto [scalar, name] : kTypes)
    if (name == elementType)
      return scalar;
  return std::nullopt;
}

TensorType deepshard::torchscript::tensorType(const at::Tensor &tensor) {
  return {elementTypeName(tensor.scalar_type()), tensor.sizes().vec()};
}

at::Tensor deepshard::torchscript::toMeta(const at::Tensor &tensor) {
  return at::empty_strided(tensor.sizes(), tensor.strides(),
                           tensor.options().device(at::kMeta).requires_grad(false));
}

TensorRef Recorder::define(const at::Tensor &tensor) {
  TensorRef ref{static_cast<int>(graph.values.size())};
  graph.values.push_back(tensorType(tensor));
  entries.insert_or_assign(
      tensor.unsafeGetTensorImpl(),
      Entry{c10::weak_intrusive_ptr<c10::TensorImpl>(tensor.getIntrusivePtr()), 0, ref});
  return ref;
}

std::optional<TensorRef> Recorder::find(const at::Tensor &tensor) const {
  auto found = entries.find(tensor.unsafeGetTensorImpl());
  return found == entries.end() || !tensor.is_meta() ? std::nullopt
                                                     : std::optional(found->second.ref);
}

TensorRef Recorder::constant(const at::Tensor &tensor) {
  Compressed compressed = compress(tensor);
  bool expands = compressed.shape != tensor.sizes().vec();
  TensorRef base{static_cast<int>(graph.values.size())};
  graph.values.push_back({elementTypeName(tensor.scalar_type()), std::move(compressed.shape)});
  graph.constants.push_back({base, std::move(compressed.bytes)});
  if (!expands)
    return base;
  TensorRef whole{static_cast<int>(graph.values.size())};
  graph.values.push_back(tensorType(tensor));
  graph.nodes.push_back(
      {.name = "aten::expand",
       .overload = "",
       .arguments = {{"self", base}, {"size", tensor.sizes().vec()}, {"implicit", false}},
       .results = {whole},
       .operandType = "",
       .unknownShape = false,
       .place = {}});
  return whole;
}

TensorRef Recorder::refer(const at::Tensor &tensor) {
  uint32_t version = tensor.is_meta() ? 0 : tensor._version();
  auto found = entries.find(tensor.unsafeGetTensorImpl());
  if (found != entries.end() && found->second.version == version)
    return found->second.ref;
  TORCH_CHECK(!tensor.is_meta(),
              "a tensor constant of the program has no data (it was traced on the meta device)");
  TensorRef ref = constant(tensor);
  entries.insert_or_assign(
      tensor.unsafeGetTensorImpl(),
      Entry{c10::weak_intrusive_ptr<c10::TensorImpl>(tensor.getIntrusivePtr()), version, ref});
  return ref;
}

Literal Recorder::literal(const c10::IValue &value) {
  if (value.isBool())
    return value.toBool();
  if (value.isInt())
    return value.toInt();
  if (value.isDouble())
    return value.toDouble();
  if (value.isString())
    return value.toStringRef();
  if (value.isTensor())
    return refer(value.toTensor());
  if (value.isIntList())
    return value.toIntVector();
  if (value.isDoubleList())
    return value.toDoubleVector();
  if (value.isComplexDouble())
    return std::string("a complex number");
  if (!value.isList())
    return std::monostate();
  c10::ArrayRef<c10::IValue> elements = value.toListRef();
  std::vector<int64_t> flags;
  std::vector<TensorRef> tensors;
  for (const c10::IValue &element : elements) {
    if (element.isBool())
      flags.push_back(element.toBool());
    else
      tensors.push_back(element.isTensor() && element.toTensor().defined()
                            ? refer(element.toTensor())
                            : TensorRef());
  }
  if (tensors.empty())
    return flags;
  return tensors;
}

Place Recorder::place(const torch::jit::Node *node, const std::string &module) const {
  Place place;
  place.module = module;
  torch::jit::SourceRange range = node->sourceRange();
  if (auto original = range.findSourceRangeThatGenerated())
    range = *original;
  if (!range.source())
    return place;
  if (parseStack(range.text().str(), place))
    return place;
  if (auto position = range.file_line_col()) {
    place.file = std::get<0>(*position);
    place.line = std::get<1>(*position);
  }
  return place;
}
