//===- PlanBuilder.h - small plans and files for the tests of the runtime ---------------------===//

#ifndef DEEPSHARD_TEST_UNIT_RUNTIME_PLANBUILDER_H
#define DEEPSHARD_TEST_UNIT_RUNTIME_PLANBUILDER_H

#include "runtime/kernels/Kernel.h"
#include "runtime/plan/Error.h"
#include "runtime/plan/plan.pb.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace deepshard::runtime::test {

/// A directory that lives as long as the object.
class TemporaryDirectory {
public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  std::string path(const std::string &name) const { return (directory / name).string(); }
  std::vector<std::string> names() const;

private:
  std::filesystem::path directory;
};

std::string readFile(const std::string &path);
void writeFile(const std::string &path, const std::string &bytes);

/// The bytes of numbers, as they lie in memory.
template <typename T> std::string bytesOf(const std::vector<T> &numbers) {
  return {reinterpret_cast<const char *>(numbers.data()), numbers.size() * sizeof(T)};
}

/// A .npy file of format `version`; `header` is the dictionary.
std::string numpyBytes(int version, const std::string &header, const std::string &data);

/// Runs `action`, which must throw Error; returns its message.
template <typename Action> std::string messageOf(Action action) {
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

/// Builds a plan with one program "train", one rank, one arena and one stream, buffer by buffer and
/// task by task.
class PlanBuilder {
public:
  PlanBuilder();

  planpb::Program &program() { return *plan.mutable_programs(0); }

  /// A buffer placed after all others, 64-byte aligned. Returns a contiguous view of all of it.
  planpb::View buffer(const std::string &name, planpb::Lifetime lifetime, planpb::DType dtype,
                      std::vector<int64_t> shape);
  /// A persistent buffer with a content.
  planpb::View constant(const std::string &name, double value);

  /// A persistent buffer with a bucket of `elements` that is cut over `axes`. Returns a view of the
  /// rank's part.
  planpb::View bucket(const std::string &name, const std::string &kind, planpb::DType dtype,
                      uint64_t elements, const planpb::AxisList &axes = {});
  /// A bucket whose part lies in `view`.
  planpb::Bucket &bucketAt(const std::string &name, const std::string &kind,
                           const planpb::View &view, uint64_t elements,
                           const planpb::AxisList &axes = {});
  /// A trained f64 parameter at `offset` in the latest bucket, with its data in `file` from the
  /// first byte on, row-major.
  planpb::Parameter &parameter(const std::string &name, std::vector<int64_t> shape,
                               const std::string &file, uint64_t offset = 0);

  /// Following tasks go to a new segment, which `call` names.
  uint32_t segment(const std::string &name);
  void call(uint32_t segment, uint32_t microBatch = 0, uint32_t slot = 0);

  planpb::Task &launch(const std::string &kernel, std::vector<planpb::View> inputs,
                       std::vector<planpb::View> outputs, uint32_t stream = 0);
  planpb::Task &feed(uint32_t input, const planpb::View &to);
  planpb::Task &record(uint32_t stream, uint32_t event);
  planpb::Task &wait(uint32_t stream, uint32_t event);

  planpb::Plan plan;

private:
  planpb::Task &task(uint32_t stream);
};

/// Launches a product that contracts `lhsContract` of `lhs` with the first dimension of `rhs`.
void addMatmul(PlanBuilder &builder, const planpb::View &lhs, int64_t lhsContract,
               const planpb::View &rhs, const planpb::View &out);
/// Fills a view with 0.
void addZero(PlanBuilder &builder, const planpb::View &view);
/// An input that is fed to `view`; its first dimension is the batch.
planpb::Input &addInput(planpb::Plan &plan, const std::string &name, const planpb::View &view);
/// A run state and a metric.
void addRunState(PlanBuilder &builder, const std::string &name, const planpb::View &view);
void addMetric(PlanBuilder &builder, const std::string &name, const planpb::View &view);

/// `view` repeated to `shape` (strides 0).
planpb::View repeat(planpb::View view, std::vector<int64_t> shape);

/// Least squares in f64, y = x w, by gradient descent: inputs "x" [microBatch, features] and "y"
/// [microBatch], one parameter "weight" [features] that starts from `weightFile` (f64, row-major,
/// from its first byte), loss sum (x w - y)^2 / samples, metrics "loss".
planpb::Plan linearRegression(const std::string &weightFile, uint32_t features, uint32_t microBatch,
                              uint32_t accumulation, double learningRate);

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_RUNTIME_PLANBUILDER_H
