//===- PlanBuilder.cpp - small plans and files for the tests of the runtime -------------------===//

#include "test/unit/runtime/PlanBuilder.h"

#include "runtime/plan/File.h"
#include "runtime/plan/Geometry.h"
#include "runtime/plan/Mesh.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include <stdlib.h>

namespace deepshard::runtime::test {

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "ds-unit-XXXXXX").string();
  if (!::mkdtemp(pattern.data()))
    throw Error("no temporary directory: " + pattern);
  directory = pattern;
}

TemporaryDirectory::~TemporaryDirectory() { std::filesystem::remove_all(directory); }

std::vector<std::string> TemporaryDirectory::names() const {
  std::vector<std::string> result;
  for (const auto &entry : std::filesystem::directory_iterator(directory))
    result.push_back(entry.path().filename().string());
  std::sort(result.begin(), result.end());
  return result;
}

std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void writeFile(const std::string &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string numpyBytes(int version, const std::string &header, const std::string &data) {
  std::string text = "\x93NUMPY";
  text += static_cast<char>(version);
  text += '\0';
  size_t bytes = header.size() + 1;
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    text += static_cast<char>(bytes >> (8 * i) & 0xff);
  return text + header + "\n" + data;
}

PlanBuilder::PlanBuilder() {
  plan.set_ranks(1);
  plan.set_threads(1);
  plan.set_cpu_level("x86-64-v3");
  plan.set_precision("f64");
  plan.mutable_training()->set_micro_batch(1);
  plan.mutable_training()->set_accumulation(1);
  plan.mutable_training()->set_global_batch(1);
  planpb::Program &train = *plan.add_programs();
  train.set_name("train");
  train.add_streams("compute");
  planpb::Arena &arena = *train.add_arenas();
  arena.set_alignment(4096);
}

planpb::View PlanBuilder::buffer(const std::string &name, planpb::Lifetime lifetime,
                                 planpb::DType dtype, std::vector<int64_t> shape) {
  constexpr uint64_t kAlignment = 64;
  planpb::View view;
  view.set_buffer(static_cast<uint32_t>(program().buffers_size()));
  view.set_dtype(dtype);
  view.mutable_shape()->Add(shape.begin(), shape.end());
  int64_t stride = 1;
  view.mutable_strides()->Resize(static_cast<int>(shape.size()), 0);
  for (int i = static_cast<int>(shape.size()) - 1; i >= 0; --i) {
    view.set_strides(i, stride);
    stride *= shape[static_cast<size_t>(i)];
  }
  planpb::Arena &arena = *program().mutable_arenas(0);
  planpb::Buffer &buffer = *program().add_buffers();
  buffer.set_name(name);
  buffer.set_lifetime(lifetime);
  buffer.set_bytes(*byteSpan(view));
  buffer.set_alignment(kAlignment);
  buffer.set_offset(arena.bytes());
  arena.set_bytes((arena.bytes() + buffer.bytes() + kAlignment - 1) / kAlignment * kAlignment);
  return view;
}

planpb::View PlanBuilder::constant(const std::string &name, double value) {
  planpb::View view = buffer(name, planpb::PERSISTENT, planpb::F64, {});
  program().mutable_buffers()->rbegin()->set_constant(bytesOf(std::vector<double>{value}));
  return view;
}

planpb::View PlanBuilder::bucket(const std::string &name, const std::string &kind,
                                 planpb::DType dtype, uint64_t elements,
                                 const planpb::AxisList &axes) {
  uint64_t parts = Mesh(plan.mesh()).parts(axes);
  planpb::View view =
      buffer(name, planpb::PERSISTENT, dtype, {static_cast<int64_t>(elements / parts)});
  return bucketAt(name, kind, view, elements, axes).view();
}

planpb::Bucket &PlanBuilder::bucketAt(const std::string &name, const std::string &kind,
                                      const planpb::View &view, uint64_t elements,
                                      const planpb::AxisList &axes) {
  planpb::Bucket &bucket = *program().add_buckets();
  bucket.set_name(name);
  bucket.set_kind(kind);
  bucket.set_elements(elements);
  *bucket.mutable_axes() = axes;
  *bucket.mutable_view() = view;
  return bucket;
}

planpb::Parameter &PlanBuilder::parameter(const std::string &name, std::vector<int64_t> shape,
                                          const std::string &path, uint64_t offset) {
  InputFile file(path);
  planpb::DataFile &source = *plan.add_files();
  source.set_path(path);
  source.set_bytes(file.size());
  source.set_modified_ns(file.modifiedNs());
  planpb::Parameter &parameter = *plan.add_parameters();
  parameter.set_name(name);
  parameter.set_dtype(planpb::F64);
  parameter.mutable_shape()->Add(shape.begin(), shape.end());
  parameter.set_file(plan.files_size() - 1);
  parameter.set_file_dtype(planpb::F64);
  TensorDesc desc = TensorDesc::contiguous(DType::F64, shape);
  parameter.mutable_file_strides()->Add(desc.strides.begin(), desc.strides.end());
  parameter.set_trainable(true);
  parameter.set_bucket(static_cast<uint32_t>(program().buckets_size() - 1));
  parameter.set_bucket_offset(offset);
  return parameter;
}

uint32_t PlanBuilder::segment(const std::string &name) {
  program().add_segments()->set_name(name);
  return static_cast<uint32_t>(program().segments_size() - 1);
}

void PlanBuilder::call(uint32_t segment, uint32_t microBatch, uint32_t slot) {
  planpb::SegmentCall &call = *program().add_schedule();
  call.set_segment(segment);
  call.set_micro_batch(microBatch);
  call.set_slot(slot);
}

planpb::Task &PlanBuilder::task(uint32_t stream) {
  planpb::Task &task = *program().mutable_segments()->rbegin()->add_tasks();
  task.set_stream(stream);
  task.set_location("test");
  return task;
}

planpb::Task &PlanBuilder::launch(const std::string &kernel, std::vector<planpb::View> inputs,
                                  std::vector<planpb::View> outputs, uint32_t stream) {
  planpb::Task &result = task(stream);
  planpb::Launch &launch = *result.mutable_launch();
  launch.set_provider("reference");
  launch.set_kernel(kernel);
  for (const planpb::View &view : inputs)
    *launch.add_inputs() = view;
  for (const planpb::View &view : outputs)
    *launch.add_outputs() = view;
  return result;
}

planpb::Task &PlanBuilder::feed(uint32_t input, const planpb::View &to) {
  planpb::Task &result = task(0);
  result.mutable_feed()->set_input(input);
  *result.mutable_feed()->mutable_view() = to;
  return result;
}

planpb::Task &PlanBuilder::record(uint32_t stream, uint32_t event) {
  planpb::Task &result = task(stream);
  result.set_record(event);
  return result;
}

planpb::Task &PlanBuilder::wait(uint32_t stream, uint32_t event) {
  planpb::Task &result = task(stream);
  result.set_wait(event);
  return result;
}

planpb::View repeat(planpb::View view, std::vector<int64_t> shape) {
  view.mutable_shape()->Clear();
  view.mutable_shape()->Add(shape.begin(), shape.end());
  view.mutable_strides()->Clear();
  view.mutable_strides()->Resize(static_cast<int>(shape.size()), 0);
  return view;
}

static void setIntegers(planpb::Task &task, const std::string &name, std::vector<int64_t> values) {
  planpb::Attribute &attribute = (*task.mutable_launch()->mutable_attributes())[name];
  attribute.mutable_integers()->mutable_values()->Add(values.begin(), values.end());
}

void addMatmul(PlanBuilder &builder, const planpb::View &lhs, int64_t lhsContract,
               const planpb::View &rhs, const planpb::View &out) {
  planpb::Task &task = builder.launch("matmul", {lhs, rhs}, {out});
  setIntegers(task, "lhs_batch", {});
  setIntegers(task, "rhs_batch", {});
  setIntegers(task, "lhs_contract", {lhsContract});
  setIntegers(task, "rhs_contract", {0});
}

void addZero(PlanBuilder &builder, const planpb::View &view) {
  planpb::Task &task = builder.launch("fill", {}, {view});
  (*task.mutable_launch()->mutable_attributes())["value"].set_number(0);
}

planpb::Input &addInput(planpb::Plan &plan, const std::string &name, const planpb::View &view) {
  planpb::Input &input = *plan.add_inputs();
  input.set_name(name);
  input.set_dtype(view.dtype());
  *input.mutable_shape() = view.shape();
  return input;
}

void addRunState(PlanBuilder &builder, const std::string &name, const planpb::View &view) {
  planpb::Slot &slot = *builder.program().add_run_state();
  slot.set_name(name);
  *slot.mutable_view() = view;
}

void addMetric(PlanBuilder &builder, const std::string &name, const planpb::View &view) {
  planpb::Slot &slot = *builder.program().add_metrics();
  slot.set_name(name);
  *slot.mutable_view() = view;
}

planpb::Plan linearRegression(const std::string &weightFile, uint32_t features, uint32_t microBatch,
                              uint32_t accumulation, double learningRate) {
  PlanBuilder b;
  planpb::Training &training = *b.plan.mutable_training();
  training.set_micro_batch(microBatch);
  training.set_accumulation(accumulation);
  training.set_global_batch(microBatch * accumulation);
  training.set_learning_rate(learningRate);
  using planpb::F64, planpb::PERSISTENT, planpb::STEP, planpb::TRANSIENT;
  planpb::View weight = b.bucket("weight", "parameter", F64, features);
  b.parameter("weight", {features}, weightFile).add_aliases("tied.weight");
  planpb::View rate = b.buffer("rate", PERSISTENT, F64, {});
  planpb::View mean = b.constant("mean", 1.0 / (microBatch * accumulation));
  planpb::View two = b.constant("two", 2);
  planpb::View gradient = b.buffer("gradient", STEP, F64, {features});
  planpb::View total = b.buffer("total", STEP, F64, {});
  planpb::View x = b.buffer("x", TRANSIENT, F64, {microBatch, features});
  planpb::View y = b.buffer("y", TRANSIENT, F64, {microBatch});
  planpb::View prediction = b.buffer("prediction", TRANSIENT, F64, {microBatch});
  planpb::View part = b.buffer("part", TRANSIENT, F64, {features});
  planpb::View partLoss = b.buffer("part_loss", TRANSIENT, F64, {});
  planpb::View factor = b.buffer("factor", TRANSIENT, F64, {});
  planpb::View loss = b.buffer("loss", STEP, F64, {});
  addInput(b.plan, "x", x);
  addInput(b.plan, "y", y);
  addRunState(b, "learning_rate", rate);
  addMetric(b, "loss", loss);

  uint32_t start = b.segment("start");
  addZero(b, gradient);
  addZero(b, total);
  uint32_t micro = b.segment("micro_batch");
  b.feed(0, x);
  b.feed(1, y);
  addMatmul(b, x, 1, weight, prediction);
  b.launch("sub", {prediction, y}, {prediction}); // the error, in place
  addMatmul(b, prediction, 0, prediction, partLoss);
  b.launch("add", {total, partLoss}, {total});
  addMatmul(b, x, 0, prediction, part);
  b.launch("add", {gradient, part}, {gradient});
  uint32_t update = b.segment("update");
  b.launch("mul", {total, mean}, {loss});
  b.launch("mul", {rate, mean}, {factor});
  b.launch("mul", {factor, two}, {factor});
  b.launch("mul", {gradient, repeat(factor, {features})}, {gradient});
  b.launch("sub", {weight, gradient}, {weight});
  b.call(start);
  for (uint32_t i = 0; i < accumulation; ++i)
    b.call(micro, i);
  b.call(update);
  return b.plan;
}

} // namespace deepshard::runtime::test
