//===- Kernel.cpp - element types, descriptions, attributes -----------------------------------===//

#include "runtime/kernels/Kernel.h"

#include <array>
#include <stdexcept>

using namespace deepshard::runtime;

namespace {

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  size_t size;
};

/// In the order of the enumeration.
constexpr std::array<DTypeInfo, 10> kDTypes = {{{DType::F32, "f32", 4},
                                                {DType::F64, "f64", 8},
                                                {DType::BF16, "bf16", 2},
                                                {DType::F16, "f16", 2},
                                                {DType::I64, "i64", 8},
                                                {DType::I32, "i32", 4},
                                                {DType::I8, "i8", 1},
                                                {DType::I1, "i1", 1},
                                                {DType::U8, "u8", 1},
                                                {DType::U16, "u16", 2}}};

template <typename T>
const T &attribute(const std::map<std::string, AttributeValue, std::less<>> &values,
                   std::string_view name, std::string_view kind) {
  auto found = values.find(name);
  if (found == values.end())
    throw std::invalid_argument("attribute " + std::string(name) + " is missing, expected " +
                                std::string(kind));
  if (const T *value = std::get_if<T>(&found->second))
    return *value;
  throw std::invalid_argument("attribute " + std::string(name) + " is not " + std::string(kind));
}

} // namespace

size_t deepshard::runtime::sizeOf(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].size; }

std::string_view deepshard::runtime::nameOf(DType dtype) {
  return kDTypes[static_cast<size_t>(dtype)].name;
}

std::optional<DType> deepshard::runtime::dtypeNamed(std::string_view name) {
  for (const DTypeInfo &info : kDTypes)
    if (info.name == name)
      return info.dtype;
  return std::nullopt;
}

int64_t TensorDesc::elements() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

bool TensorDesc::isContiguous() const {
  int64_t expected = 1;
  for (int64_t dim = rank() - 1; dim >= 0; --dim) {
    if (shape[dim] != 1 && strides[dim] != expected)
      return elements() == 0;
    expected *= shape[dim];
  }
  return true;
}

TensorDesc TensorDesc::contiguous(DType dtype, std::vector<int64_t> shape) {
  TensorDesc desc{dtype, std::move(shape), {}};
  desc.strides.resize(desc.shape.size());
  int64_t stride = 1;
  for (int64_t dim = desc.rank() - 1; dim >= 0; --dim) {
    desc.strides[dim] = stride;
    stride *= desc.shape[dim];
  }
  return desc;
}

int64_t Attributes::integer(std::string_view name) const {
  return attribute<int64_t>(values, name, "an integer");
}

double Attributes::number(std::string_view name) const {
  return attribute<double>(values, name, "a number");
}

bool Attributes::flag(std::string_view name) const {
  return has(name) && attribute<bool>(values, name, "a flag");
}

const std::string &Attributes::text(std::string_view name) const {
  return attribute<std::string>(values, name, "a text");
}

const std::vector<int64_t> &Attributes::integers(std::string_view name) const {
  return attribute<std::vector<int64_t>>(values, name, "a list of integers");
}
