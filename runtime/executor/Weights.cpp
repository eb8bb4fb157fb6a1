//===- Weights.cpp - the first and the last values of the parameters --------------------------===//

#include "runtime/executor/Weights.h"

#include "runtime/checkpoint/SafeTensors.h"
#include "runtime/checkpoint/TensorReader.h"
#include "runtime/data/Convert.h"
#include "runtime/executor/Memory.h"
#include "runtime/plan/Error.h"
#include "runtime/plan/Geometry.h"
#include "runtime/plan/Pieces.h"
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
  FileTensor from; // in the dimensions of Cut.shape
  TensorDesc desc; // of the rank's piece in its part of the bucket
  std::vector<Held> held;
  char *part = nullptr;
};

struct Job {
  const Source *source;
  Box piece;
  char *to;
};

/// The type of a parameter's piece, as it lies in `bucket`.
TensorDesc pieceDesc(const Mesh &mesh, const planpb::Parameter &parameter,
                     const planpb::Bucket &bucket) {
  return TensorDesc::contiguous(dtypeOf(bucket.view().dtype()), Cut(mesh, parameter).piece);
}

class Loader {
public:
  Loader(const planpb::Plan &plan, const Memory &memory) : plan(plan), memory(memory) {}

  void findSources(const std::string &weights);
  void read(int threads);

private:
  std::optional<FileTensor> inWeights(const planpb::Parameter &parameter);
  std::optional<FileTensor> inModel(const planpb::Parameter &parameter);
  void addSource(const planpb::Parameter &parameter, uint32_t bucketIndex, FileTensor from);
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

/// `from` has the shape of the parameter; it is seen under its cut_shape from here on.
void Loader::addSource(const planpb::Parameter &parameter, uint32_t bucketIndex, FileTensor from) {
  const planpb::Bucket &bucket = memory.program().buckets(static_cast<int>(bucketIndex));
  Cut cut(memory.mesh(), parameter);
  // A checked plan and a contiguous file have such strides.
  std::optional<std::vector<int64_t>> strides =
      stridesAs(from.desc.shape, from.desc.strides, cut.shape);
  from.desc.strides = strides.value();
  from.desc.shape = cut.shape;
  std::vector<Held> held = heldBoxes(memory.mesh(), bucket, parameter, memory.rank());
  if (!held.empty())
    sources.push_back({std::move(from), pieceDesc(memory.mesh(), parameter, bucket),
                       std::move(held), memory.at(bucket.view())});
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
    if (parameter.has_copy_bucket())
      addSource(parameter, parameter.copy_bucket(), *from);
    addSource(parameter, parameter.bucket(), std::move(*from));
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
      readPiece(source.from, jobs[i].piece, source.desc, jobs[i].to, staging);
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
    for (const Held &held : source.held)
      for (Box &piece : cutIntoPieces(source.from.desc, held.box)) {
        uint64_t offset = held.offset;
        for (size_t i = 0; i < piece.begin.size(); ++i)
          offset +=
              static_cast<uint64_t>((piece.begin[i] - held.box.begin[i]) * source.desc.strides[i]);
        jobs.push_back(
            {&source, std::move(piece), source.part + offset * sizeOf(source.desc.dtype)});
      }
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

/// Writes one box, run by run: elements that are neighbours in the file and in memory.
static void writeBox(const OutputFile &file, uint64_t begin, const TensorDesc &inFile,
                     const Held &held, const TensorDesc &desc, const char *part) {
  size_t outer = held.box.size.size(); // dimensions that are walked; those behind are one run
  int64_t run = 1;
  while (outer > 0 && inFile.strides[outer - 1] == run && desc.strides[outer - 1] == run)
    run *= held.box.size[--outer];
  std::vector<int64_t> index(outer, 0);
  auto width = static_cast<int64_t>(sizeOf(desc.dtype));
  while (true) {
    int64_t from = static_cast<int64_t>(held.offset);
    int64_t to = 0;
    for (size_t i = 0; i < held.box.size.size(); ++i) {
      int64_t step = i < outer ? index[i] : 0;
      from += step * desc.strides[i];
      to += (held.box.begin[i] + step) * inFile.strides[i];
    }
    file.writeAt(begin + static_cast<uint64_t>(to * width), part + from * width,
                 static_cast<size_t>(run * width));
    size_t i = outer;
    while (i > 0 && ++index[i - 1] == held.box.size[i - 1])
      index[--i] = 0;
    if (i == 0)
      return;
  }
}

void saveWeights(const planpb::Plan &plan, const Memory &memory, OutputFile &file) {
  // By name: plans that keep the same tensors in other buckets write the same file.
  std::vector<const planpb::Parameter *> parameters;
  for (const planpb::Parameter &parameter : plan.parameters())
    parameters.push_back(&parameter);
  std::sort(parameters.begin(), parameters.end(),
            [](const auto *a, const auto *b) { return a->name() < b->name(); });
  std::vector<SavedTensor> tensors;
  for (const planpb::Parameter *entry : parameters) {
    const planpb::Parameter &parameter = *entry;
    tensors.push_back({parameter.name(),
                       {parameter.aliases().begin(), parameter.aliases().end()},
                       TensorDesc::contiguous(dtypeOf(parameter.dtype()),
                                              {parameter.shape().begin(), parameter.shape().end()}),
                       nullptr});
  }
  SafeTensorsStart start = startSafeTensors(tensors);
  if (memory.rank() == 0)
    file.writeAt(0, start.bytes.data(), start.bytes.size());
  auto rank = static_cast<uint64_t>(memory.rank());
  for (size_t i = 0; i < parameters.size(); ++i) {
    const planpb::Parameter &parameter = *parameters[i];
    const planpb::Bucket &bucket = memory.program().buckets(static_cast<int>(parameter.bucket()));
    if (lowestHolder(memory.mesh(), bucket, parameter, rank) != rank)
      continue;
    TensorDesc inFile =
        TensorDesc::contiguous(dtypeOf(parameter.dtype()), Cut(memory.mesh(), parameter).shape);
    for (const Held &held : heldBoxes(memory.mesh(), bucket, parameter, rank))
      writeBox(file, start.offsets[i], inFile, held, pieceDesc(memory.mesh(), parameter, bucket),
               memory.at(bucket.view()));
  }
}

} // namespace deepshard::runtime
