//===- Types.cpp - the schema's types as the kernels name them --------------------------------===//

#include "runtime/plan/Types.h"

#include "runtime/plan/Error.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace deepshard::runtime {

/// The element types under both names.
static constexpr std::pair<planpb::DType, DType> kElementTypes[] = {
    {planpb::F32, DType::F32}, {planpb::F64, DType::F64}, {planpb::BF16, DType::BF16},
    {planpb::F16, DType::F16}, {planpb::I64, DType::I64}, {planpb::I32, DType::I32},
    {planpb::I8, DType::I8},   {planpb::I1, DType::I1},   {planpb::U8, DType::U8},
    {planpb::U16, DType::U16}};

DType dtypeOf(planpb::DType dtype) {
  for (auto [schema, kernel] : kElementTypes)
    if (schema == dtype)
      return kernel;
  throw Error(fmt::format("the plan names element type {}, which this ds-run does not know",
                          static_cast<int>(dtype)));
}

planpb::DType schemaType(DType dtype) {
  for (auto [schema, kernel] : kElementTypes)
    if (kernel == dtype)
      return schema;
  return planpb::DTYPE_UNSPECIFIED;
}

TensorDesc descOf(const planpb::View &view) {
  TensorDesc desc;
  desc.dtype = dtypeOf(view.dtype());
  desc.shape.assign(view.shape().begin(), view.shape().end());
  desc.strides.assign(view.strides().begin(), view.strides().end());
  return desc;
}

std::string nameOf(planpb::Collective::Kind kind) {
  switch (kind) {
  case planpb::Collective::ALL_REDUCE:
    return "all_reduce";
  case planpb::Collective::REDUCE_SCATTER:
    return "reduce_scatter";
  case planpb::Collective::ALL_GATHER:
    return "all_gather";
  case planpb::Collective::ALL_TO_ALL:
    return "all_to_all";
  case planpb::Collective::PERMUTE:
    return "permute";
  default:
    return "collective";
  }
}

bool isRowMajor(const planpb::View &view) {
  int64_t expected = 1;
  for (int i = view.shape_size(); i-- > 0;) {
    if (view.shape(i) != 1 && view.strides(i) != expected)
      return false;
    expected *= view.shape(i);
  }
  return true;
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

KernelSpec kernelSpec(const planpb::Launch &launch, int threads) {
  KernelSpec spec;
  spec.name = launch.kernel();
  for (const planpb::View &view : launch.inputs())
    spec.inputs.push_back(descOf(view));
  for (const planpb::View &view : launch.outputs())
    spec.outputs.push_back(descOf(view));
  spec.attributes = attributesOf(launch);
  spec.threads = threads;
  return spec;
}

std::string kernelKey(const planpb::Launch &launch) {
  planpb::Launch type = launch;
  type.clear_workspace();
  type.clear_flops();
  auto forget = [](planpb::View &view) {
    view.clear_buffer();
    view.clear_offset();
  };
  for (planpb::View &view : *type.mutable_inputs())
    forget(view);
  for (planpb::View &view : *type.mutable_outputs())
    forget(view);
  std::string key;
  {
    google::protobuf::io::StringOutputStream stream(&key);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    type.SerializeToCodedStream(&coded);
  }
  return key;
}

StoredGraph storedGraph(const planpb::LibraryGraph &graph) {
  StoredGraph result{graph.library(), graph.gpu(), graph.plan(), {}, {}, graph.workspace_begin()};
  for (const planpb::GraphScalar &scalar : graph.scalars())
    result.scalars.push_back({scalar.number(), scalar.value()});
  for (const planpb::GraphPart &part : graph.parts())
    result.parts.push_back({part.number(), part.offset()});
  return result;
}

planpb::LibraryGraph schemaGraph(const StoredGraph &graph) {
  planpb::LibraryGraph result;
  result.set_library(graph.library);
  result.set_gpu(graph.gpu);
  result.set_plan(graph.plan);
  result.set_workspace_begin(graph.workspaceBegin);
  for (const StoredGraph::Scalar &scalar : graph.scalars) {
    planpb::GraphScalar &entry = *result.add_scalars();
    entry.set_number(scalar.number);
    entry.set_value(scalar.value);
  }
  for (const StoredGraph::Part &part : graph.parts) {
    planpb::GraphPart &entry = *result.add_parts();
    entry.set_number(part.number);
    entry.set_offset(part.offset);
  }
  return result;
}

} // namespace deepshard::runtime
