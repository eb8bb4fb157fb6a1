//===- Types.cpp - the schema's types as the kernels name them
//---------------------------------===//

#include "runtime/plan/Types.h"

#include "runtime/plan/Error.h"

#include <fmt/format.h>

namespace deepshard::runtime {

DType dtypeOf(planpb::DType dtype) {
  switch (dtype) {
  case planpb::F32:
    return DType::F32;
  case planpb::F64:
    return DType::F64;
  case planpb::BF16:
    return DType::BF16;
  case planpb::F16:
    return DType::F16;
  case planpb::I64:
    return DType::I64;
  case planpb::I32:
    return DType::I32;
  case planpb::I8:
    return DType::I8;
  case planpb::I1:
    return DType::I1;
  case planpb::U8:
    return DType::U8;
  case planpb::U16:
    return DType::U16;
  default:
    throw Error(fmt::format("the plan names element type {}, which this ds-run does not know",
                            static_cast<int>(dtype)));
  }
}

TensorDesc descOf(const planpb::View &view) {
  TensorDesc desc;
  desc.dtype = dtypeOf(view.dtype());
  desc.shape.assign(view.shape().begin(), view.shape().end());
  desc.strides.assign(view.strides().begin(), view.strides().end());
  return desc;
}

Attributes attributesOf(const planpb::Launch &launch) {
  Attributes attributes;
  for (const auto &[name, value] : launch.attributes()) {
    switch (value.kind_case()) {
    case planpb::Attribute::kInteger:
      attributes.set(name, value.integer());
      break;
    case planpb::Attribute::kNumber:
      attributes.set(name, value.number());
      break;
    case planpb::Attribute::kText:
      attributes.set(name, value.text());
      break;
    case planpb::Attribute::kFlag:
      attributes.set(name, value.flag());
      break;
    case planpb::Attribute::kIntegers:
      attributes.set(name, std::vector<int64_t>(value.integers().values().begin(),
                                                value.integers().values().end()));
      break;
    case planpb::Attribute::kNumbers:
      attributes.set(name, std::vector<double>(value.numbers().values().begin(),
                                               value.numbers().values().end()));
      break;
    case planpb::Attribute::KIND_NOT_SET:
      throw Error(fmt::format("kernel {}: attribute {} is of a kind that this ds-run does not know",
                              launch.kernel(), name));
    }
  }
  return attributes;
}

} // namespace deepshard::runtime
