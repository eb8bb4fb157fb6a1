//===- PiecesTest.cpp - checks of buckets, pieces, batches and collectives; traffic
//---------------===//

#include "runtime/plan/Checker.h"
#include "runtime/plan/Geometry.h"
#include "runtime/plan/Traffic.h"
#include "test/unit/runtime/Meshes.h"
#include "test/unit/runtime/RankPlans.h"

#include <functional>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using planpb::Collective;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;

namespace {

/// Two tensors, one cut over "tensor" and padded, in a bucket cut over "data", with collectives of
/// several kinds between matrices in the window.
struct TwoAxes {
  RankPlanBuilder b{{{"data", 4}, {"tensor", 2}}};
  planpb::View a, c, d;

  TwoAxes() {
    b.plan.mutable_training()->set_accumulation(2);
    b.plan.mutable_training()->set_global_batch(16);
    b.plan.mutable_training()->set_micro_batch(2);
    b.bucket("parameter.0", "parameter", planpb::F64, 48, wholeAxes({0}));
    planpb::Parameter &cut = add("cut", {7, 3});
    cut.add_padded_shape(8);
    cut.add_padded_shape(3);
    *cut.mutable_layout()->add_dims() = wholeAxes({1});
    cut.mutable_layout()->add_dims();
    planpb::Parameter &whole = add("whole", {2, 12});
    whole.set_bucket_offset(16);
    whole.add_cut_shape(24);
    b.bucket("exp_avg.0", "exp_avg", planpb::F64, 48, wholeAxes({0}));
    planpb::View x = b.buffer("x", planpb::TRANSIENT, planpb::F64, {2, 3});
    planpb::Input &input = *b.plan.add_inputs();
    input.set_name("x");
    input.set_dtype(planpb::F64);
    *input.mutable_shape() = x.shape();
    *input.mutable_layout()->add_dims() = wholeAxes({0});
    input.mutable_layout()->add_dims();
    a = matrix("a", 8, 4);
    c = matrix("c", 2, 4);
    d = matrix("d", 8, 4);
    uint32_t step = b.segment("step");
    b.feed(0, x);
    b.launch("fill", {}, {a});
    b.launch("fill", {}, {d});
    b.collective(Collective::REDUCE_SCATTER, wholeAxes({0}), a, c);
    b.collective(Collective::ALL_GATHER, wholeAxes({0}), c, a);
    b.collective(Collective::ALL_REDUCE, wholeAxes({1}), d, d);
    b.collective(Collective::PERMUTE, wholeAxes({1}), d, a);
    b.call(step, 0);
    b.call(step, 1);
  }

  planpb::Parameter &add(const std::string &name, std::vector<int64_t> shape) {
    planpb::Parameter &parameter = *b.plan.add_parameters();
    parameter.set_name(name);
    parameter.set_dtype(planpb::F64);
    parameter.mutable_shape()->Add(shape.begin(), shape.end());
    parameter.set_file(-1);
    return parameter;
  }
  planpb::View matrix(const std::string &name, int64_t rows, int64_t columns) {
    planpb::View view = b.window(name, planpb::STEP, rows * columns);
    view.set_shape(0, rows);
    view.add_shape(columns);
    view.set_strides(0, columns);
    view.add_strides(1);
    return view;
  }
  planpb::AxisList &batchAxes() {
    return *b.plan.mutable_inputs(0)->mutable_layout()->mutable_dims(0);
  }
  planpb::Parameter &cut() { return *b.plan.mutable_parameters(0); }
  planpb::Parameter &whole() { return *b.plan.mutable_parameters(1); }
  planpb::Bucket &bucket(int index) { return *b.program().mutable_buckets(index); }
  Collective &collective(int index) {
    return *b.program().mutable_segments(0)->mutable_tasks(3 + index)->mutable_collective();
  }
};

TEST(PiecesTest, SoundPlanPasses) { EXPECT_THAT(checkPlan(TwoAxes().b.plan), IsEmpty()); }

struct Damage {
  const char *name;
  std::function<void(TwoAxes &)> apply;
  const char *message;
};

class PiecesDamageTest : public testing::TestWithParam<Damage> {};

TEST_P(PiecesDamageTest, IsFoundAndNamed) {
  TwoAxes plan;
  GetParam().apply(plan);
  EXPECT_THAT(checkPlan(plan.b.plan), Contains(HasSubstr(GetParam().message)));
}

const Damage kDamages[] = {
    {"RanksOfNoMesh", [](TwoAxes &p) { p.b.plan.set_ranks(7); }, "7 ranks, its mesh has 8"},
    {"AxisWithoutSize", [](TwoAxes &p) { p.b.plan.mutable_mesh()->mutable_axes(0)->set_size(0); },
     "mesh: its axis data has the size 0"},
    {"BatchOverWrongAxis", [](TwoAxes &p) { p.batchAxes() = wholeAxes({1}); },
     "do not make the global_batch of 16"},
    {"BatchThatDoesNotExist",
     [](TwoAxes &p) { p.b.plan.mutable_inputs(0)->set_batch_dimension(2); },
     "batch dimension 2 of 2 dimensions does not exist"},
    {"InputOverNoAxis", [](TwoAxes &p) { p.batchAxes() = wholeAxes({5}); },
     "input x: its layout: axis 5 of 2 does not exist"},
    {"InputOverAnAxisTwice",
     [](TwoAxes &p) {
       *p.b.plan.mutable_inputs(0)->mutable_layout()->mutable_dims(1) = wholeAxes({0});
     },
     "input x: its layout: "},
    {"InputLayoutOfOtherRank",
     [](TwoAxes &p) { p.b.plan.mutable_inputs(0)->mutable_layout()->add_dims(); },
     "input x: its layout has 3 dimensions, its shape has 2"},
    {"CutShapeOfOtherSize", [](TwoAxes &p) { p.whole().set_cut_shape(0, 25); },
     "cut_shape (25) has not the elements of shape (2, 12)"},
    {"PaddedToLess", [](TwoAxes &p) { p.cut().set_padded_shape(0, 6); },
     "padded_shape (6, 3) is not (7, 3) or larger"},
    {"LayoutOfOtherRank", [](TwoAxes &p) { p.cut().mutable_layout()->add_dims(); },
     "its layout has 3 dimensions, its shape has 2"},
    {"LayoutDoesNotDivide", [](TwoAxes &p) { p.cut().set_padded_shape(0, 7); },
     "dimension 0 of size 7 does not split over tensor = 2"},
    {"AxisTwiceInLayout",
     [](TwoAxes &p) {
       *p.cut().mutable_layout()->mutable_dims(1) = wholeAxes({1});
       p.cut().set_padded_shape(1, 4);
     },
     "its layout: axes tensor and tensor overlap"},
    {"LayoutOverTheBucketsAxis",
     [](TwoAxes &p) { *p.cut().mutable_layout()->mutable_dims(0) = axesOf({{0, 2, 2}}); },
     "it is cut over data:(2)2, and its bucket parameter.0 over data, which overlap"},
    {"FileThatCannotBeSeenSo",
     [](TwoAxes &p) {
       p.b.plan.add_files()->set_bytes(1000);
       p.whole().set_file(0);
       p.whole().set_file_dtype(planpb::F64);
       p.whole().add_file_strides(1); // transposed
       p.whole().add_file_strides(2);
     },
     "cannot be seen as (24)"},
    {"MissingBucket", [](TwoAxes &p) { p.cut().set_bucket(9); }, "bucket 9 of 2 does not exist"},
    {"MemberOfState", [](TwoAxes &p) { p.cut().set_bucket(1); },
     "bucket exp_avg.0 is of kind exp_avg"},
    {"MemberOfOtherType", [](TwoAxes &p) { p.cut().set_dtype(planpb::F32); },
     "its type is not that of bucket parameter.0"},
    {"MemberPastTheEnd", [](TwoAxes &p) { p.whole().set_bucket_offset(25); },
     "24 elements at 25 do not lie in bucket parameter.0 of 48"},
    {"MembersOverlap", [](TwoAxes &p) { p.whole().set_bucket_offset(11); },
     "parameters cut and whole share elements 11 to 12 of bucket parameter.0"},
    {"BucketDoesNotDivide", [](TwoAxes &p) { p.bucket(0).set_elements(50); },
     "50 elements in 4 parts (data) are not the 12 of its view"},
    {"BucketOfOtherView", [](TwoAxes &p) { p.bucket(0).mutable_axes()->Clear(); },
     "48 elements in 1 parts (none) are not the 12"},
    {"ContentOfParameters", [](TwoAxes &p) { p.bucket(0).set_initial(std::string(192, 0)); },
     "bucket parameter.0: its first content has 192 bytes; only a bucket that is whole on every "
     "rank and holds no tensor of the model has one"},
    {"ContentOfAPart", [](TwoAxes &p) { p.bucket(1).set_initial(std::string(384, 0)); },
     "bucket exp_avg.0: its first content has 384 bytes"},
    {"LossScaleOfOtherNumbers", [](TwoAxes &p) { p.bucket(1).set_kind("loss_scale"); },
     "bucket exp_avg.0: a loss scale is 4 numbers of f64 with a first content"},
    {"BucketsOverlap", [](TwoAxes &p) { *p.bucket(1).mutable_view() = p.bucket(0).view(); },
     "buckets parameter.0 and exp_avg.0 share bytes of arena 0"},
    {"BucketNotPersistent",
     [](TwoAxes &p) { p.b.program().mutable_buffers(0)->set_lifetime(planpb::STEP); },
     "bucket parameter.0: buffer parameter.0 is not persistent"},
    {"BucketWithGaps", [](TwoAxes &p) { p.bucket(0).mutable_view()->set_strides(0, 2); },
     "bucket parameter.0"},
    {"NameTwice", [](TwoAxes &p) { p.bucket(1).set_name("parameter.0"); },
     "or its name occurs twice"},
    {"ScatterOfOtherShape", [](TwoAxes &p) { p.collective(0).mutable_output()->set_shape(0, 1); },
     "reduce_scatter (test): the output is not of the input's type and of shape (2, 4)"},
    {"ScatterDoesNotDivide", [](TwoAxes &p) { p.collective(0).mutable_input()->set_shape(0, 6); },
     "dimension 0 of size 6 does not split over data = 4"},
    {"GatherAlongNothing", [](TwoAxes &p) { p.collective(1).set_concat(2); },
     "concat: dimension 2 of 2 does not exist"},
    {"ViewWithGaps", [](TwoAxes &p) { p.collective(2).mutable_input()->set_strides(0, 5); },
     "all_reduce (test): input"},
    {"InputOutsideTheWindow",
     [](TwoAxes &p) { p.b.program().mutable_arenas(1)->set_window(false); },
     "its input does not lie in a window arena"},
    {"ReductionOfBytes",
     [](TwoAxes &p) {
       p.collective(2).mutable_input()->set_dtype(planpb::I8);
       p.collective(2).mutable_output()->set_dtype(planpb::I8);
     },
     "numbers of this type are not reduced"},
    {"NoPermutation", [](TwoAxes &p) { p.collective(3).set_sources(0, 0); },
     "its sources are not a permutation of the 2 ranks of tensor"},
    {"GroupOverNoAxis", [](TwoAxes &p) { *p.collective(2).mutable_group() = wholeAxes({2}); },
     "its group: axis 2 of 2 does not exist"},
    {"UnknownKind", [](TwoAxes &p) { p.collective(2).set_kind(static_cast<Collective::Kind>(9)); },
     "of a kind that this ds-run does not know"},
    {"PartOverNoAxis",
     [](TwoAxes &p) {
       addRunState(p.b, "part", p.b.buffer("part", planpb::PERSISTENT, planpb::I64, {}));
       *p.b.program().mutable_run_state(0)->mutable_axes() = wholeAxes({3});
     },
     "run state part: axis 3 of 2 does not exist"},
};

INSTANTIATE_TEST_SUITE_P(All, PiecesDamageTest, testing::ValuesIn(kDamages),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(PiecesTest, TrafficIsCountedByTheTextbook) {
  TwoAxes plan;
  std::vector<Traffic> traffic = trafficOf(plan.b.plan, plan.b.program());
  ASSERT_EQ(traffic.size(), 4u);
  constexpr double kBytes = 8 * 4 * 8; // of the matrices; each task runs twice
  double expected[] = {2 * kBytes * 3 / 4, 2 * kBytes * 3 / 4, 2 * kBytes, 2 * kBytes};
  const char *axes[] = {"data", "data", "tensor", "tensor"};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(traffic[i].bytes(), expected[i]) << i;
    EXPECT_EQ(traffic[i].axes, axes[i]);
    EXPECT_EQ(traffic[i].calls, 2u);
  }
}

TEST(PiecesTest, StridesOfAnotherShape) {
  EXPECT_THAT(stridesAs({6, 4}, {4, 1}, {2, 3, 4}), Optional(ElementsAre(12, 4, 1)));
  EXPECT_THAT(stridesAs({6, 4}, {4, 1}, {24}), Optional(ElementsAre(1)));
  EXPECT_THAT(stridesAs({6, 4}, {1, 6}, {2, 3, 2, 2}), Optional(ElementsAre(3, 1, 12, 6)));
  EXPECT_EQ(stridesAs({6, 4}, {1, 6}, {24}), std::nullopt);
  EXPECT_EQ(stridesAs({6, 4}, {1, 6}, {8, 3}), std::nullopt);
  EXPECT_THAT(stridesAs({1, 5, 1}, {99, 2, 7}, {5}), Optional(ElementsAre(2)));
  EXPECT_THAT(stridesAs({}, {}, {1, 1}), Optional(ElementsAre(1, 1)));
  EXPECT_EQ(stridesAs({6}, {1}, {5}), std::nullopt);
  EXPECT_THAT(stridesAs({0, 3}, {3, 1}, {3, 0}), Optional(testing::SizeIs(2)));
}

} // namespace
