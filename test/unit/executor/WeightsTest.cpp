//===- WeightsTest.cpp - every rank its pieces, all ranks one file
//------------------------------===//

#include "runtime/executor/Weights.h"

#include "runtime/checkpoint/SafeTensors.h"
#include "runtime/device/cpu/Device.h"
#include "runtime/executor/Memory.h"
#include "runtime/plan/Checker.h"
#include "runtime/plan/File.h"
#include "runtime/plan/Pieces.h"
#include "test/unit/runtime/Meshes.h"
#include "test/unit/runtime/PlanBuilder.h"

#include <algorithm>
#include <set>
#include <thread>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

/// A random shape with the elements of `shape` that its strides can be seen as: dimensions cut in
/// two, and, without gaps, neighbours joined.
std::vector<int64_t> randomCut(std::mt19937 &random, const std::vector<int64_t> &shape) {
  std::vector<int64_t> result;
  for (int64_t size : shape) {
    int64_t factor = 1 + static_cast<int64_t>(random() % 3);
    if (size % factor == 0 && random() % 2 == 0) {
      result.push_back(factor);
      size /= factor;
    }
    result.push_back(size);
  }
  if (result.size() > 1 && random() % 3 == 0) {
    result[0] *= result[1];
    result.erase(result.begin() + 1);
  }
  return result;
}

/// A plan with random parameters in random buckets over a random mesh, and their values in a file.
struct RandomWeights {
  PlanBuilder b;
  std::mt19937 random;
  std::string path;
  size_t elements = 0; // of all tensors

  RandomWeights(uint32_t seed, const TemporaryDirectory &directory)
      : random(seed), path(directory.path("in.safetensors")) {
    *b.plan.mutable_mesh() = randomMesh(random, 16);
    Mesh mesh(b.plan.mesh());
    b.plan.set_ranks(static_cast<uint32_t>(mesh.ranks()));
    b.plan.mutable_training()->set_global_batch(1);
    std::vector<std::vector<double>> values;
    std::vector<SavedTensor> tensors;
    for (uint32_t i = 0, count = 1 + random() % 5; i < count; ++i)
      addParameter(mesh);
    placeBuckets(mesh);
    for (const planpb::Parameter &parameter : b.plan.parameters()) {
      TensorDesc desc =
          TensorDesc::contiguous(DType::F64, {parameter.shape().begin(), parameter.shape().end()});
      std::vector<double> &numbers = values.emplace_back();
      for (int64_t j = 0; j < desc.elements(); ++j)
        numbers.push_back(static_cast<double>(++elements));
      tensors.push_back({parameter.name(), {}, desc, numbers.data()});
    }
    for (size_t i = 0; i < tensors.size(); ++i) // vectors have moved while the list grew
      tensors[i].data = values[i].data();
    saveSafeTensors(path, tensors);
    SafeTensorsFile file(path);
    if (random() % 2 == 0)
      referToFile(file);
  }

  void addParameter(const Mesh &mesh) {
    planpb::Parameter &parameter = *b.plan.add_parameters();
    parameter.set_name("p" + std::to_string(b.plan.parameters_size()));
    parameter.set_dtype(planpb::F64);
    parameter.set_trainable(true);
    parameter.set_file(-1);
    std::vector<int64_t> shape;
    for (uint32_t i = 0, rank = random() % 4; i < rank; ++i)
      shape.push_back(1 + static_cast<int64_t>(random() % 12));
    parameter.mutable_shape()->Add(shape.begin(), shape.end());
    if (random() % 2 == 0) {
      shape = randomCut(random, shape);
      parameter.mutable_cut_shape()->Add(shape.begin(), shape.end());
    }
    if (shape.empty() || random() % 3 == 0)
      return;
    planpb::AxisList taken;
    bool isPadded = false;
    for (int64_t &size : shape) {
      planpb::AxisList axes = randomAxes(random, b.plan.mesh(), taken);
      auto parts = static_cast<int64_t>(mesh.parts(axes));
      *parameter.mutable_layout()->add_dims() = axes;
      taken.MergeFrom(axes);
      isPadded |= size % parts != 0;
      size = (size + parts - 1) / parts * parts + parts * static_cast<int64_t>(random() % 2);
    }
    isPadded |= random() % 2 == 0;
    if (isPadded || Cut(mesh, parameter).padded != shape)
      parameter.mutable_padded_shape()->Add(shape.begin(), shape.end());
  }

  /// Parameters fill one to three buckets, with gaps; a bucket is cut over axes that none of its
  /// members is cut over.
  void placeBuckets(const Mesh &mesh) {
    int buckets = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < buckets; ++i) {
      uint64_t end = 0;
      planpb::AxisList taken;
      for (int j = i; j < b.plan.parameters_size(); j += buckets) {
        planpb::Parameter &parameter = *b.plan.mutable_parameters(j);
        parameter.set_bucket(static_cast<uint32_t>(i));
        parameter.set_bucket_offset(end + random() % 4);
        end = parameter.bucket_offset() + Cut(mesh, parameter).pieceElements();
        for (const planpb::AxisList &list : parameter.layout().dims())
          taken.MergeFrom(list);
      }
      planpb::AxisList axes = randomAxes(random, b.plan.mesh(), taken);
      uint64_t parts = mesh.parts(axes);
      end = (end + parts) / parts * parts;
      b.bucket("parameter." + std::to_string(i), "parameter", planpb::F64, end, axes);
    }
  }

  /// The plan itself names the file; matrices may lie transposed in it.
  void referToFile(const SafeTensorsFile &file) {
    planpb::DataFile &source = *b.plan.add_files();
    source.set_path(path);
    source.set_bytes(file.file().size());
    source.set_modified_ns(file.file().modifiedNs());
    for (planpb::Parameter &parameter : *b.plan.mutable_parameters()) {
      TensorDesc desc =
          TensorDesc::contiguous(DType::F64, {parameter.shape().begin(), parameter.shape().end()});
      parameter.set_file(0);
      parameter.set_file_offset(file.find(parameter.name())->offset);
      parameter.set_file_dtype(planpb::F64);
      parameter.mutable_file_strides()->Add(desc.strides.begin(), desc.strides.end());
    }
  }
};

/// Loads on all ranks at once, then saves on all ranks at once.
TEST(WeightsTest, RandomSplitsSaveWhatTheyLoaded) {
  int cuts = 0;
  for (uint32_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    TemporaryDirectory directory;
    RandomWeights weights(seed, directory);
    const planpb::Plan &plan = weights.b.plan;
    ASSERT_THAT(checkPlan(plan), testing::IsEmpty());
    Mesh mesh(plan.mesh());
    std::string given = plan.files_size() == 0 ? weights.path : "";
    CpuDevice cpu("", 1, nullptr);
    std::vector<std::unique_ptr<Memory>> memories;
    for (int rank = 0; rank < static_cast<int>(mesh.ranks()); ++rank)
      memories.push_back(std::make_unique<Memory>(plan.programs(0), mesh, rank, cpu));
    auto onAll = [&](auto action) {
      std::vector<std::jthread> threads;
      for (const auto &memory : memories)
        threads.emplace_back([&] { action(*memory); });
    };
    onAll([&](const Memory &memory) { loadWeights(plan, given, memory, 2); });
    OutputFile file(directory.path("out.safetensors"));
    onAll([&](const Memory &memory) { saveWeights(plan, memory, file); });
    file.commit();
    ASSERT_EQ(readFile(directory.path("out.safetensors")), readFile(weights.path));
    for (const planpb::Parameter &parameter : plan.parameters())
      cuts += Cut(mesh, parameter).piece != Cut(mesh, parameter).shape ? 1 : 0;
  }
  EXPECT_GT(cuts, 50);
}

/// The definition, element by element: of each parameter, a rank has the elements of its piece that
/// fall into its part of the bucket, and zeros elsewhere.
TEST(WeightsTest, RandomSplitsHoldWhatTheDefinitionSays) {
  for (uint32_t seed = 1000; seed < 1100; ++seed) {
    SCOPED_TRACE(seed);
    TemporaryDirectory directory;
    RandomWeights weights(seed, directory);
    const planpb::Plan &plan = weights.b.plan;
    Mesh mesh(plan.mesh());
    CpuDevice cpu("", 1, nullptr);
    for (int rank = 0; rank < static_cast<int>(mesh.ranks()); ++rank) {
      Memory memory(plan.programs(0), mesh, rank, cpu);
      loadWeights(plan, weights.path, memory, 1);
      std::vector<std::vector<double>> expected;
      for (const planpb::Bucket &bucket : plan.programs(0).buckets())
        expected.emplace_back(bucket.elements());
      double first = 1;
      for (const planpb::Parameter &parameter : plan.parameters()) {
        Cut cut(mesh, parameter);
        std::vector<int64_t> index(cut.piece.size(), 0);
        for (uint64_t i = 0; i < cut.pieceElements(); ++i) {
          uint64_t rest = i;
          for (size_t d = cut.piece.size(); d-- > 0;) {
            index[d] = static_cast<int64_t>(rest) % cut.piece[d];
            rest /= static_cast<uint64_t>(cut.piece[d]);
          }
          double flat = 0;
          bool isInside = true;
          for (size_t d = 0; d < cut.piece.size(); ++d) {
            int64_t at = index[d];
            if (parameter.layout().dims_size() > 0)
              at += cut.piece[d] *
                    static_cast<int64_t>(mesh.part(parameter.layout().dims(static_cast<int>(d)),
                                                   static_cast<uint64_t>(rank)));
            isInside &= at < cut.shape[d];
            flat = flat * static_cast<double>(cut.shape[d]) + static_cast<double>(at);
          }
          if (isInside)
            expected[parameter.bucket()][parameter.bucket_offset() + i] = first + flat;
        }
        first += static_cast<double>(Box{{}, cut.shape}.elements());
      }
      for (int i = 0; i < plan.programs(0).buckets_size(); ++i) {
        const planpb::Bucket &bucket = plan.programs(0).buckets(i);
        uint64_t part = bucket.elements() / mesh.parts(bucket.axes());
        uint64_t begin = part * mesh.part(bucket.axes(), static_cast<uint64_t>(rank));
        const auto *numbers = reinterpret_cast<const double *>(memory.at(bucket.view()));
        for (uint64_t j = 0; j < part; ++j)
          ASSERT_EQ(numbers[j], expected[static_cast<size_t>(i)][begin + j])
              << "rank " << rank << " bucket " << i << " element " << j;
      }
    }
  }
}

} // namespace
