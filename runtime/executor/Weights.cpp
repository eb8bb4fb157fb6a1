//===- Weights.cpp - the first values of the parameters ---------------------------------------===//

#include "runtime/executor/Weights.h"

#include "runtime/checkpoint/SafeTensors.h"
#include "runtime/checkpoint/TensorReader.h"
#include "runtime/data/Convert.h"
#include "runtime/executor/Memory.h"
#include "runtime/plan/Error.h"
#include "runtime/plan/Types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

namespace deepshard::runtime {

namespace {

/// One parameter: from where to where.
struct Source {
  FileTensor from;
  TensorDesc desc;
  char *to = nullptr;
};

struct Job {
  const Source *source;
  TensorPiece piece;
};

class Loader {
public:
  Loader(const planpb::Plan &plan, const Memory &memory) : plan(plan), memory(memory) {}

  void findSources(const std::string &weights);
  void read(int threads);

private:
  std::optional<FileTensor> inWeights(const planpb::Parameter &parameter);
  std::optional<FileTensor> inModel(const planpb::Parameter &parameter);
  const InputFile *openModel(int index);
  void runJobs(const std::vector<Job> &jobs);

  const planpb::Plan &plan;
  const Memory &memory;
  std::unique_ptr<SafeTensorsFile> given;
  std::map<int, std::unique_ptr<InputFile>> files; // null: at fault
  std::vector<Source> sources;
  std::set<std::string> faults;
  std::vector<std::string> withoutValue;

  std::atomic<size_t> nextJob = 0;
  std::mutex mutex;
  std::exception_ptr failure;
};

const InputFile *Loader::openModel(int index) {
  auto [entry, isNew] = files.try_emplace(index);
  if (!isNew)
    return entry->second.get();
  const planpb::DataFile &expected = plan.files(index);
  try {
    auto file = std::make_unique<InputFile>(expected.path());
    if (file->size() == expected.bytes() && file->modifiedNs() == expected.modified_ns())
      return (entry->second = std::move(file)).get();
    faults.insert(fmt::format("{}: was changed after the plan was made ({} bytes, {} then); run "
                              "ds-opt again, or give --weights FILE.safetensors",
                              expected.path(), file->size(), expected.bytes()));
  } catch (const Error &error) {
    faults.insert(fmt::format("{}; the plan takes its initial values from there: put it back, or "
                              "give --weights FILE.safetensors",
                              error.what()));
  }
  return nullptr;
}

std::optional<FileTensor> Loader::inModel(const planpb::Parameter &parameter) {
  if (parameter.file() < 0) {
    withoutValue.push_back(parameter.name());
    return std::nullopt;
  }
  const InputFile *file = openModel(parameter.file());
  if (!file)
    return std::nullopt;
  TensorDesc desc;
  desc.dtype = dtypeOf(parameter.file_dtype());
  desc.shape.assign(parameter.shape().begin(), parameter.shape().end());
  desc.strides.assign(parameter.file_strides().begin(), parameter.file_strides().end());
  return FileTensor{file, parameter.file_offset(), std::move(desc)};
}

std::optional<FileTensor> Loader::inWeights(const planpb::Parameter &parameter) {
  const SafeTensorsFile::Entry *entry = given->find(parameter.name());
  for (const std::string &alias : parameter.aliases())
    if (!entry)
      entry = given->find(alias);
  const std::string &path = given->file().path();
  if (!entry && !parameter.trainable() && parameter.file() >= 0)
    return inModel(parameter);
  if (!entry) {
    faults.insert(fmt::format("{}: has no tensor {}", path, parameter.name()));
    return std::nullopt;
  }
  if (!std::equal(entry->shape.begin(), entry->shape.end(), parameter.shape().begin(),
                  parameter.shape().end())) {
    faults.insert(fmt::format("{}: tensor {} has the shape ({}), the plan's has ({})", path,
                              parameter.name(), fmt::join(entry->shape, ", "),
                              fmt::join(parameter.shape(), ", ")));
    return std::nullopt;
  }
  return FileTensor{&given->file(), entry->offset,
                    TensorDesc::contiguous(entry->dtype, entry->shape)};
}

void Loader::findSources(const std::string &weights) {
  if (!weights.empty())
    given = std::make_unique<SafeTensorsFile>(weights);
  for (const planpb::Parameter &parameter : plan.parameters()) {
    std::optional<FileTensor> from = given ? inWeights(parameter) : inModel(parameter);
    if (!from)
      continue;
    DType dtype = dtypeOf(parameter.dtype());
    if (!isConvertible(from->desc.dtype, dtype)) {
      faults.insert(fmt::format("{}: tensor {} has the type {}, the plan's has {}",
                                from->file->path(), parameter.name(), nameOf(from->desc.dtype),
                                nameOf(dtype)));
      continue;
    }
    sources.push_back({std::move(*from), descOf(parameter.view()), memory.at(parameter.view())});
  }
  if (!withoutValue.empty())
    faults.insert(fmt::format("{} of {} parameters have no initial value ({}{}): the model was "
                              "exported without data (meta device); give --weights "
                              "FILE.safetensors",
                              withoutValue.size(), plan.parameters_size(), withoutValue.front(),
                              withoutValue.size() > 1 ? ", ..." : ""));
  if (faults.empty())
    return;
  constexpr size_t kMostListed = 20;
  std::vector<std::string> listed(faults.begin(), faults.end());
  if (listed.size() > kMostListed) {
    std::string rest = fmt::format("and {} more faults", listed.size() - kMostListed);
    listed.resize(kMostListed);
    listed.push_back(std::move(rest));
  }
  throw Error(fmt::format("{}", fmt::join(listed, "\n")));
}

void Loader::runJobs(const std::vector<Job> &jobs) {
  std::vector<char> staging;
  try {
    for (size_t i = nextJob++; i < jobs.size(); i = nextJob++) {
      const Source &source = *jobs[i].source;
      readPiece(source.from, jobs[i].piece, source.desc, source.to, staging);
    }
  } catch (...) {
    std::lock_guard lock(mutex);
    if (!failure)
      failure = std::current_exception();
    nextJob = jobs.size();
  }
}

void Loader::read(int threads) {
  std::vector<Job> jobs;
  for (const Source &source : sources)
    for (TensorPiece &piece : cutIntoPieces(source.from.desc))
      jobs.push_back({&source, std::move(piece)});
  // Each thread may hold a piece of staging memory; more threads than this do not read faster.
  constexpr int kMostThreads = 8;
  std::vector<std::thread> helpers;
  for (int i = 1; i < std::min(threads, kMostThreads); ++i)
    helpers.emplace_back([&] { runJobs(jobs); });
  runJobs(jobs);
  for (std::thread &helper : helpers)
    helper.join();
  if (failure)
    std::rethrow_exception(failure);
}

} // namespace

void loadWeights(const planpb::Plan &plan, const std::string &weights, const Memory &memory,
                 int threads) {
  Loader loader(plan, memory);
  loader.findSources(weights);
  loader.read(threads);
}

void saveWeights(const planpb::Plan &plan, const Memory &memory, const std::string &path) {
  std::vector<SavedTensor> tensors;
  for (const planpb::Parameter &parameter : plan.parameters())
    tensors.push_back({parameter.name(),
                       {parameter.aliases().begin(), parameter.aliases().end()},
                       descOf(parameter.view()),
                       memory.at(parameter.view())});
  saveSafeTensors(path, tensors);
}

} // namespace deepshard::runtime
