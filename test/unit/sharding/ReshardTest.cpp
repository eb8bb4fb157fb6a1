//===- ReshardTest.cpp - changes of layout against the definition of a layout -----------------===//
//
// Single cases say which steps are expected. The property test runs the ops of random changes on
// simulated ranks, on integers (so that no sum is rounded), and compares with what each rank should
// hold under the target.
//
//===------------------------------------------------------------------------------------------===//

#include "test/unit/sharding/Testing.h"

#include <gmock/gmock.h>

#include <map>
#include <numeric>
#include <random>

using namespace mlir;

namespace deepshard::sharding {
namespace {

using graph::HostTensor;
using testing::ElementsAre;
using testing::IsEmpty;

std::string textOf(const Step &step) {
  std::string axes = " " + sharding::textOf(step.axes), dim = " " + std::to_string(step.dim);
  switch (step.kind) {
  case StepKind::LocalSlice:
    return "local_slice" + axes + dim;
  case StepKind::ReduceScatter:
    return "reduce_scatter" + axes + dim;
  case StepKind::AllReduce:
    return "all_reduce" + axes;
  case StepKind::Permute:
    return "permute" + axes;
  case StepKind::AllToAll:
    return "all_to_all" + axes + " " + std::to_string(step.concat) + " ->" + dim;
  case StepKind::AllGather:
    return "all_gather" + axes + dim;
  }
  return "";
}

int64_t elementsOf(ArrayRef<int64_t> shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

class ReshardTest : public ShardingTest {
protected:
  std::vector<std::string> steps(StringRef meshAxes, ArrayRef<int64_t> shape, StringRef from,
                                 StringRef to) {
    std::vector<std::string> texts;
    for (const Step &step : reshardSteps(layout(from), layout(to), mesh(meshAxes), shape))
      texts.push_back(textOf(step));
    return texts;
  }
};

constexpr const char *kMesh = R"(["data" = 4, "tensor" = 2])";

TEST_F(ReshardTest, EqualLayoutsGiveNothing) {
  EXPECT_THAT(steps(kMesh, {8, 8}, R"([{"data"}, {"tensor"}])", R"([{"data"}, {"tensor"}])"),
              IsEmpty());
  EXPECT_THAT(steps(kMesh, {8}, R"([{}], partial = sum {"data"})",
                    R"([{}], partial = sum {"data"} in f32, memory = host)"),
              IsEmpty());
  EXPECT_THAT(steps(R"(["one" = 1, "data" = 2])", {8}, R"([{"one", "data"}])", R"([{"data"}])"),
              IsEmpty());
}

TEST_F(ReshardTest, OneCollectiveWhereOneSuffices) {
  EXPECT_THAT(steps(kMesh, {8, 8}, R"([{}, {}])", R"([{"data"}, {"tensor"}])"),
              ElementsAre(R"(local_slice {"data"} 0)", R"(local_slice {"tensor"} 1)"));
  EXPECT_THAT(steps(kMesh, {8, 8}, R"([{"data", "tensor"}, {}])", R"([{}, {}])"),
              ElementsAre(R"(all_gather {"data", "tensor"} 0)"));
  EXPECT_THAT(steps(kMesh, {8, 8}, R"([{"data"}, {}])", R"([{}, {"data"}])"),
              ElementsAre(R"(all_to_all {"data"} 0 -> 1)"));
  EXPECT_THAT(steps(kMesh, {8, 8}, R"([{"tensor", "data"}, {}])", R"([{"data", "tensor"}, {}])"),
              ElementsAre(R"(permute {"data", "tensor"})"));
  EXPECT_THAT(steps(kMesh, {8}, R"([{}], partial = sum {"data", "tensor"})", "[{}]"),
              ElementsAre(R"(all_reduce {"data", "tensor"})"));
}

TEST_F(ReshardTest, PartialThenSplitIsAReduceScatter) {
  // Sequence parallelism behind a row-parallel matmul.
  EXPECT_THAT(steps(kMesh, {8, 8, 4}, R"([{"data"}, {}, {}], partial = sum {"tensor"})",
                    R"([{"data"}, {"tensor"}, {}])"),
              ElementsAre(R"(reduce_scatter {"tensor"} 1)"));
  // A bucket of ZeRO; what else is partial is summed first, at its place in the order of the mesh.
  EXPECT_THAT(steps(kMesh, {16}, R"([{}], partial = sum {"data"})", R"([{"data"}])"),
              ElementsAre(R"(reduce_scatter {"data"} 0)"));
  EXPECT_THAT(steps(kMesh, {16}, R"([{}], partial = sum {"data", "tensor"})", R"([{"tensor"}])"),
              ElementsAre(R"(reduce_scatter {"tensor"} 0)", R"(all_reduce {"data"})"));
  // MiCS: shards inside the groups, then a sum over them.
  EXPECT_THAT(steps(kMesh, {16}, R"([{}], partial = sum {"data"})", R"([{"data":(2)2}])"),
              ElementsAre(R"(reduce_scatter {"data":(2)2} 0)", R"(all_reduce {"data":(1)2})"));
  // Free slices make the sum smaller.
  EXPECT_THAT(steps(kMesh, {16}, R"([{}], partial = sum {"tensor"})", R"([{"data"}])"),
              ElementsAre(R"(local_slice {"data"} 0)", R"(all_reduce {"tensor"})"));
}

TEST_F(ReshardTest, SlicesComeFirstAndGathersLast) {
  EXPECT_THAT(steps(kMesh, {8, 8}, R"([{"data"}, {}])", R"([{}, {"tensor"}])"),
              ElementsAre(R"(local_slice {"tensor"} 1)", R"(all_gather {"data"} 0)"));
  // The example of the header.
  EXPECT_THAT(steps(kMesh, {4, 8}, R"([{"data"}, {}], partial = sum {"tensor"})",
                    R"([{}, {"data":(2)2, "tensor"}])"),
              ElementsAre(R"(reduce_scatter {"tensor"} 1)", R"(permute {"data":(2)2, "tensor"})",
                          R"(all_to_all {"tensor"} 0 -> 1)", R"(all_gather {"data":(1)2} 0)"));
}

TEST_F(ReshardTest, SubAxes) {
  EXPECT_THAT(steps(kMesh, {8}, R"([{"data"}])", R"([{"data":(1)2}])"),
              ElementsAre(R"(all_gather {"data":(2)2} 0)"));
  EXPECT_THAT(steps(kMesh, {8}, R"([{"data":(1)2}])", R"([{"data"}])"),
              ElementsAre(R"(local_slice {"data":(2)2} 0)"));
}

TEST_F(ReshardTest, PrimesThatMix) {
  EXPECT_THAT(steps(R"(["a" = 2, "b" = 3])", {6, 6}, R"([{"a"}, {"b"}])", R"([{"b"}, {"a"}])"),
              ElementsAre(R"(all_to_all {"a"} 0 -> 1)", R"(permute {"a", "b"})",
                          R"(all_to_all {"b"} 1 -> 0)"));
}

TEST_F(ReshardTest, ShapesOfTheSteps) {
  Steps steps =
      reshardSteps(layout(R"([{"data"}, {}])"), layout(R"([{}, {"tensor"}])"), mesh(kMesh), {8, 6});
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_THAT(steps[0].inputShape, ElementsAre(2, 6));
  EXPECT_THAT(steps[0].outputShape, ElementsAre(2, 3));
  EXPECT_THAT(steps[1].outputShape, ElementsAre(8, 3));
  EXPECT_EQ(steps[0].receivedElements(mesh(kMesh)), 0);
  EXPECT_EQ(steps[1].receivedElements(mesh(kMesh)), 18);
}

TEST_F(ReshardTest, ReducesInTheTypeOfThePartialValue) {
  OwningOpRef<ModuleOp> module = parse(kMesh, "func.func @f(%x: tensor<8xbf16>) { return }");
  func::FuncOp function = *module->getOps<func::FuncOp>().begin();
  OpBuilder builder(&function.getBody().front(), function.getBody().front().begin());
  Value result = emitReshard(builder, function.getLoc(), function.getArgument(0),
                             layout(R"([{}], partial = sum {"data", "tensor"} in f32)"),
                             layout(R"([{"tensor"}])"), mesh(kMesh));
  EXPECT_TRUE(succeeded(verify(*module)));
  EXPECT_EQ(result.getType(), RankedTensorType::get({4}, builder.getBF16Type()));
  std::vector<std::string> ops;
  for (Operation &op : function.getBody().front().without_terminator())
    ops.push_back(op.getName().getStringRef().str());
  EXPECT_THAT(ops, ElementsAre("graph.convert", "sharding.reduce_scatter", "sharding.all_reduce",
                               "graph.convert"));
}

using ReshardDeathTest = ReshardTest;

TEST_F(ReshardDeathTest, NothingBecomesPartial) {
  EXPECT_DEATH(steps(kMesh, {8}, "[{}]", R"([{}], partial = sum {"data"})"), "become partial");
  EXPECT_DEATH(steps(kMesh, {8}, R"([{}], partial = max {"data", "tensor"})",
                     R"([{}], partial = sum {"data"})"),
               "cannot change how");
  EXPECT_DEATH(steps(kMesh, {6}, "[{}]", R"([{"data"}])"), "does not divide");
}

//===------------------------------------------------------------------------------------------===//
// Random changes
//===------------------------------------------------------------------------------------------===//

/// A random mesh, two layouts on it, and a shape that divides under both.
struct Change {
  MeshAttr mesh;
  LayoutAttr from, to;
  SmallVector<int64_t> shape;
  bool hasRefinement = true; // of the sub-axes of both

  std::string text() const {
    std::string text;
    llvm::raw_string_ostream stream(text);
    stream << mesh << " " << from << " -> " << to << " shape ";
    llvm::interleave(shape, stream, "x");
    return text;
  }
};

class RandomChanges {
public:
  RandomChanges(MLIRContext &context, unsigned seed) : context(context), generator(seed) {}

  Change next();

  int64_t number(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(generator);
  }

private:
  using Boundaries = std::vector<int64_t>;

  MeshAttr randomMesh();
  /// 1, ..., size: each divides the next.
  Boundaries randomBoundaries(int64_t size);
  /// Every axis cut at some of its boundaries, in random order.
  std::vector<AxisRefAttr> randomAxes(MeshAttr mesh, ArrayRef<Boundaries> boundaries);
  LayoutAttr randomLayout(MeshAttr mesh, ArrayRef<Boundaries> boundaries, int64_t rank,
                          bool maybePartial);
  /// Some of the partial axes of `from` in `to`, if they are free there.
  LayoutAttr keepPartial(LayoutAttr from, LayoutAttr to);

  MLIRContext &context;
  std::mt19937 generator;
};

MeshAttr RandomChanges::randomMesh() {
  SmallVector<StringAttr> names;
  SmallVector<int64_t> sizes;
  int64_t room = 16;
  for (const char *name : {"a", "b", "c"}) {
    if (!names.empty() && number(0, 3) == 0)
      break;
    names.push_back(StringAttr::get(&context, name));
    int64_t size = number(1, 5);
    sizes.push_back(size == 1 && number(0, 2) > 0 ? std::min<int64_t>(room, 2 * number(1, 8))
                                                  : std::min(room, size));
    room /= sizes.back();
  }
  return MeshAttr::get(&context, names, sizes);
}

RandomChanges::Boundaries RandomChanges::randomBoundaries(int64_t size) {
  Boundaries boundaries = {1};
  for (int64_t next = 2; next < size; ++next)
    if (size % next == 0 && next % boundaries.back() == 0 && number(0, 1))
      boundaries.push_back(next);
  if (size > 1)
    boundaries.push_back(size);
  return boundaries;
}

std::vector<AxisRefAttr> RandomChanges::randomAxes(MeshAttr mesh, ArrayRef<Boundaries> boundaries) {
  std::vector<AxisRefAttr> axes;
  for (auto [name, size, cuts] : llvm::zip_equal(mesh.getNames(), mesh.getSizes(), boundaries)) {
    if (size == 1 || number(0, 1)) {
      axes.push_back(AxisRefAttr::get(&context, name));
      continue;
    }
    for (size_t i = 1; i < cuts.size(); ++i)
      axes.push_back(AxisRefAttr::get(&context, name, cuts[i - 1], cuts[i] / cuts[i - 1]));
  }
  std::shuffle(axes.begin(), axes.end(), generator);
  return axes;
}

LayoutAttr RandomChanges::randomLayout(MeshAttr mesh, ArrayRef<Boundaries> boundaries, int64_t rank,
                                       bool maybePartial) {
  std::vector<SmallVector<AxisRefAttr>> dims(rank);
  SmallVector<AxisRefAttr> partial;
  for (AxisRefAttr axis : randomAxes(mesh, boundaries)) {
    int64_t place = number(-2, rank - 1);
    if (place >= 0)
      dims[place].push_back(axis);
    else if (place == -1 && maybePartial)
      partial.push_back(axis);
  }
  auto layout = LayoutAttr::replicated(FlatSymbolRefAttr::get(&context, "mesh"), rank);
  for (int64_t dim = 0; dim < rank; ++dim)
    layout = layout.withAxes(dim, mesh.canonical(dims[dim]));
  partial = mesh.inMeshOrder(partial);
  if (!partial.empty())
    layout = layout.withPartial(
        PartialAttr::get(&context, static_cast<Reduction>(number(0, 2)), partial));
  return layout;
}

LayoutAttr RandomChanges::keepPartial(LayoutAttr from, LayoutAttr to) {
  SmallVector<AxisRefAttr> kept, split = to.getSplitAxes();
  for (AxisRefAttr axis : from.getPartialAxes())
    if (number(0, 1) &&
        llvm::all_of(split, [&](AxisRefAttr other) { return canCoexist(axis, other); }))
      kept.push_back(axis);
  return kept.empty()
             ? to
             : to.withPartial(PartialAttr::get(&context, from.getPartial().getKind(), kept));
}

Change RandomChanges::next() {
  Change change;
  change.mesh = randomMesh();
  int64_t rank = number(1, 3);
  auto cut = [&] {
    std::vector<Boundaries> boundaries;
    for (int64_t size : change.mesh.getSizes())
      boundaries.push_back(randomBoundaries(size));
    return boundaries;
  };
  std::vector<Boundaries> fromCuts = cut(), toCuts = number(0, 3) ? fromCuts : cut();
  change.from = randomLayout(change.mesh, fromCuts, rank, number(0, 2) == 0);
  change.to = number(0, 19) == 0 ? change.from.withPartial(nullptr)
                                 : randomLayout(change.mesh, toCuts, rank, /*maybePartial=*/false);
  if (number(0, 3) == 0)
    change.to = keepPartial(change.from, change.to);
  for (const auto &[one, two] : llvm::zip_equal(fromCuts, toCuts)) {
    Boundaries both;
    std::merge(one.begin(), one.end(), two.begin(), two.end(), std::back_inserter(both));
    for (size_t i = 1; i < both.size(); ++i)
      change.hasRefinement = change.hasRefinement && both[i] % both[i - 1] == 0;
  }
  for (int64_t dim = 0; dim < rank; ++dim)
    change.shape.push_back(std::lcm(change.mesh.sizeOf(change.from.getAxes(dim)),
                                    change.mesh.sizeOf(change.to.getAxes(dim))) *
                           number(1, 3));
  return change;
}

/// The value under `from`: of each partial part other small integers, and their reduction.
std::pair<Parts, HostTensor> randomValue(RandomChanges &random, const Change &change,
                                         RankedTensorType type) {
  auto emit = [&] { return emitError(UnknownLoc::get(type.getContext())); };
  ArrayRef<AxisRefAttr> partial = change.from.getPartialAxes();
  std::vector<HostTensor> summands(change.mesh.sizeOf(partial), HostTensor(type));
  for (HostTensor &summand : summands)
    for (int64_t i = 0; i < type.getNumElements(); ++i)
      summand.as<float>()[i] = static_cast<float>(random.number(-9, 9));
  Parts parts;
  for (int64_t rank = 0; rank < change.mesh.getRanks(); ++rank)
    parts.push_back(split(summands[change.mesh.partOf(partial, rank)],
                          change.from.withPartial(nullptr), change.mesh, rank));
  return {parts, *join(emit, parts, change.from, change.mesh)};
}

/// What one would do without thinking: reduce everywhere, gather everything, slice.
int64_t trivialReceived(const Change &change) {
  int64_t local = elementsOf(change.from.localShape(change.mesh, change.shape));
  int64_t reduced = change.mesh.sizeOf(change.from.getPartialAxes()) /
                    change.mesh.sizeOf(change.to.getPartialAxes());
  return 2 * (local - local / reduced) + elementsOf(change.shape) - local;
}

class RandomReshardTest : public ReshardTest {
protected:
  void checkSteps(const Change &change);
  void checkValues(RandomChanges &random, const Change &change);
  int64_t mostCommunications = 0;
  std::map<StepKind, int> seen;
};

void RandomReshardTest::checkSteps(const Change &change) {
  Steps steps = reshardSteps(change.from, change.to, change.mesh, change.shape);
  int64_t limit = std::max(elementsOf(change.from.localShape(change.mesh, change.shape)),
                           elementsOf(change.to.localShape(change.mesh, change.shape)));
  int64_t received = 0, communications = 0;
  for (const Step &step : steps) {
    received += step.receivedElements(change.mesh);
    communications += step.communicates();
    ++seen[step.kind];
    if (change.hasRefinement) {
      EXPECT_LE(elementsOf(step.outputShape), limit);
    }
  }
  if (!change.hasRefinement)
    return;
  EXPECT_LE(received, trivialReceived(change));
  mostCommunications = std::max(mostCommunications, communications);
  if (change.from.getDims() == change.to.getDims() &&
      change.from.isPartial() == change.to.isPartial() &&
      change.from.getPartialAxes() == change.to.getPartialAxes()) {
    EXPECT_THAT(steps, IsEmpty());
  }
}

void RandomReshardTest::checkValues(RandomChanges &random, const Change &change) {
  RankedTensorType type = tensor(change.shape);
  RankedTensorType fromType = change.from.localType(change.mesh, type);
  auto [parts, whole] = randomValue(random, change, type);
  // The ops, as the partitioner emits them.
  OpBuilder builder(&context);
  Location location = builder.getUnknownLoc();
  OwningOpRef<ModuleOp> module = ModuleOp::create(location);
  builder.setInsertionPointToEnd(module->getBody());
  MeshOp::create(builder, location, "mesh", change.mesh);
  auto function =
      func::FuncOp::create(builder, location, "f", builder.getFunctionType({fromType}, {}));
  builder.setInsertionPointToEnd(function.addEntryBlock());
  Value result =
      emitReshard(builder, location, function.getArgument(0), change.from, change.to, change.mesh);
  func::ReturnOp::create(builder, location, result);
  function.setFunctionType(builder.getFunctionType({fromType}, {result.getType()}));
  ASSERT_TRUE(succeeded(verify(*module)));
  ASSERT_EQ(result.getType(), change.to.localType(change.mesh, type));
  FailureOr<std::vector<Parts>> results = evaluateOnRanks(function, change.mesh, parts);
  ASSERT_TRUE(succeeded(results));
  // Against the definition of the target.
  const Parts &held = results->front();
  if (!change.to.isPartial()) {
    for (int64_t rank = 0; rank < change.mesh.getRanks(); ++rank) {
      HostTensor expected = split(whole, change.to, change.mesh, rank);
      ASSERT_EQ(std::memcmp(held[rank].data(), expected.data(), expected.size()), 0)
          << "rank " << rank;
    }
    return;
  }
  auto emit = [&] { return emitError(location); };
  FailureOr<HostTensor> joined = join(emit, held, change.to, change.mesh);
  ASSERT_TRUE(succeeded(joined));
  ASSERT_EQ(std::memcmp(joined->data(), whole.data(), whole.size()), 0);
}

TEST_F(RandomReshardTest, MeansTheTargetLayout) {
  RandomChanges random(context, /*seed=*/20);
  for (int i = 0; i < 20000 && !HasFailure(); ++i) {
    Change change = random.next();
    SCOPED_TRACE("case " + std::to_string(i) + ": " + change.text());
    checkSteps(change);
    checkValues(random, change);
  }
  EXPECT_LE(mostCommunications, 5);
  for (StepKind kind : {StepKind::LocalSlice, StepKind::ReduceScatter, StepKind::AllReduce,
                        StepKind::Permute, StepKind::AllToAll, StepKind::AllGather})
    EXPECT_GE(seen[kind], 500) << "of kind " << static_cast<int>(kind);
}

// Sums over powers of two have the same bits whatever the target is.
TEST_F(RandomReshardTest, SumsKeepTheirBits) {
  MeshAttr ranks = mesh(R"(["a" = 4, "b" = 2, "c" = 2])");
  LayoutAttr from = layout(R"([{}, {}], partial = sum {"a", "b", "c"})");
  std::mt19937 generator(3);
  std::normal_distribution<float> normal;
  Parts parts(ranks.getRanks(), HostTensor(tensor({16, 16})));
  for (HostTensor &part : parts)
    for (int64_t i = 0; i < 256; ++i)
      part.as<float>()[i] = normal(generator);
  auto emit = [&] { return emitError(UnknownLoc::get(&context)); };
  HostTensor expected = *join(emit, parts, from, ranks);
  for (StringRef to :
       {R"([{}, {}])", R"([{"a"}, {}])", R"([{"c"}, {}])", R"([{"a":(1)2}, {}])",
        R"([{"a":(2)2}, {"b"}])", R"([{"c", "b", "a"}, {}])", R"([{"b"}, {"a", "c"}])"}) {
    Parts values = parts;
    OwningOpRef<ModuleOp> module =
        parse(R"(["a" = 4, "b" = 2, "c" = 2])", "func.func @f(%x: tensor<16x16xf32>) { return }");
    func::FuncOp function = *module->getOps<func::FuncOp>().begin();
    OpBuilder builder(&function.getBody().front(), function.getBody().front().begin());
    emitReshard(builder, function.getLoc(), function.getArgument(0), from, layout(to), ranks);
    for (Operation &op : function.getBody().front().without_terminator())
      values = evaluateOnRanks(&op, ranks, {&values})->front();
    FailureOr<HostTensor> sum = join(emit, values, layout(to), ranks);
    ASSERT_TRUE(succeeded(sum)) << to.str();
    EXPECT_EQ(std::memcmp(sum->data(), expected.data(), expected.size()), 0) << to.str();
  }
}

} // namespace
} // namespace deepshard::sharding
