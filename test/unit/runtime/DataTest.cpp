//===- DataTest.cpp - samples from files to inputs --------------------------------------------===//

#include "runtime/data/DataSet.h"

#include "runtime/data/Numpy.h"
#include "runtime/data/Order.h"
#include "test/unit/runtime/PlanBuilder.h"

#include <fmt/format.h>

#include <numeric>
#include <set>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::AllOf;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

namespace {

TEST(OrderTest, EachEpochIsAnotherPermutation) {
  for (uint64_t samples : {1, 2, 3, 5, 16, 17, 64, 1000, 4097}) {
    SampleOrder order(samples, 7, true);
    std::vector<std::vector<uint64_t>> epochs(2);
    for (uint64_t epoch : {0, 1}) {
      for (uint64_t i = 0; i < samples; ++i)
        epochs[epoch].push_back(order.sampleAt(epoch * samples + i));
      std::set<uint64_t> distinct(epochs[epoch].begin(), epochs[epoch].end());
      EXPECT_EQ(distinct.size(), samples);
      EXPECT_EQ(*distinct.rbegin(), samples - 1);
    }
    if (samples >= 16) {
      EXPECT_NE(epochs[0], epochs[1]);
      std::vector<uint64_t> other;
      for (uint64_t i = 0; i < samples; ++i)
        other.push_back(SampleOrder(samples, 8, true).sampleAt(i));
      EXPECT_NE(epochs[0], other);
    }
  }
}

/// Where sample 0 lands over many seeds is about uniform: chi-square below its 99.9 % quantile for
/// 9 degrees.
TEST(OrderTest, PermutationsAreSpread) {
  constexpr int kSeeds = 5000;
  constexpr int kSamples = 10;
  std::vector<int> count(kSamples, 0);
  for (uint64_t seed = 0; seed < kSeeds; ++seed)
    ++count[SampleOrder(kSamples, seed, true).sampleAt(0)];
  double chiSquare = 0;
  double expected = double(kSeeds) / kSamples;
  for (int n : count)
    chiSquare += (n - expected) * (n - expected) / expected;
  EXPECT_LT(chiSquare, 27.88);
}

TEST(OrderTest, FileOrderWraps) {
  SampleOrder order(3, 0, false);
  std::vector<uint64_t> seen;
  for (uint64_t i = 0; i < 7; ++i)
    seen.push_back(order.sampleAt(i));
  EXPECT_THAT(seen, ElementsAre(0, 1, 2, 0, 1, 2, 0));
}

/// A plan with inputs but no tasks.
planpb::Plan
planWith(std::vector<std::tuple<std::string, planpb::DType, std::vector<int64_t>, int>> inputs,
         uint32_t microBatch) {
  planpb::Plan plan;
  plan.mutable_training()->set_micro_batch(microBatch);
  plan.mutable_training()->set_accumulation(1);
  plan.mutable_training()->set_global_batch(microBatch);
  for (const auto &[name, dtype, shape, batch] : inputs) {
    planpb::Input &input = *plan.add_inputs();
    input.set_name(name);
    input.set_dtype(dtype);
    input.mutable_shape()->Add(shape.begin(), shape.end());
    input.set_batch_dimension(batch);
  }
  return plan;
}

struct DataTest : testing::Test {
  TemporaryDirectory directory;
  planpb::Plan tokens = planWith({{"input_ids", planpb::I64, {2, 4}, 0}}, 2);

  std::string write(const std::string &name, const std::string &bytes) {
    writeFile(directory.path(name), bytes);
    return directory.path(name);
  }

  DataOptions options(std::vector<std::pair<std::string, std::string>> files,
                      bool shuffle = false) {
    return {std::move(files), 3, shuffle};
  }

  std::string message(const planpb::Plan &plan,
                      std::vector<std::pair<std::string, std::string>> files) {
    return messageOf([&] { DataSet(plan, options(std::move(files))); });
  }

  std::string messageOfFile(const std::string &file) {
    return message(tokens, {{"input_ids", file}});
  }
};

TEST_F(DataTest, TokensAreCutIntoWindows) {
  std::vector<uint16_t> numbers(19);
  std::iota(numbers.begin(), numbers.end(), 50000);
  std::string file = write("a.bin", bytesOf(numbers));
  DataSet data(tokens, options({{"input_ids", file + ":uint16"}}));
  EXPECT_EQ(data.samples(), 4u); // three numbers are left over
  std::vector<int64_t> batch(8);
  std::vector<int64_t> strides = {4, 1};
  data.feed(0, 1, batch.data(), strides);
  EXPECT_THAT(batch, ElementsAre(50004, 50005, 50006, 50007, 50008, 50009, 50010, 50011));
  data.feed(0, 3, batch.data(), strides); // wraps
  EXPECT_THAT(batch, ElementsAre(50012, 50013, 50014, 50015, 50000, 50001, 50002, 50003));
}

/// Ranks that share samples read their pieces of the same rows, along any of their dimensions.
TEST_F(DataTest, RanksReadTheirPieces) {
  planpb::Plan plan = planWith({{"x", planpb::I64, {2, 3, 2}, 1}}, 3);
  planpb::MeshAxis &axis = *plan.mutable_mesh()->add_axes();
  axis.set_name("context");
  axis.set_size(2);
  for (int dim : {0, 1, 2})
    if (planpb::AxisList &list = *plan.mutable_inputs(0)->mutable_layout()->add_dims(); dim == 2)
      list.add_axes()->set_axis(0);
  std::vector<uint16_t> numbers(3 * 2 * 4);
  std::iota(numbers.begin(), numbers.end(), 0);
  std::string file = write("a.bin", bytesOf(numbers));
  for (int rank : {0, 1}) {
    DataSet data(plan, options({{"x", file + ":uint16"}}), rank);
    EXPECT_EQ(data.samples(), 3u);
    std::vector<int64_t> batch(12), strides = {6, 2, 1};
    data.feed(0, 0, batch.data(), strides);
    for (int64_t row = 0; row < 2; ++row)
      for (int64_t sample = 0; sample < 3; ++sample)
        for (int64_t column = 0; column < 2; ++column)
          EXPECT_EQ(batch[row * 6 + sample * 2 + column], sample * 8 + row * 4 + rank * 2 + column);
  }
}

TEST_F(DataTest, SidecarNamesTheType) {
  std::string file = write("a.bin", std::string("\x01\xff\x03\x04\x05\x06\x07\x08", 8));
  EXPECT_THAT(messageOfFile(file), AllOf(HasSubstr("type of its numbers is not known"),
                                         HasSubstr("--data input_ids=" + file + ":uint8")));
  write("a.bin.json", R"({"dtype": "uint8"})");
  std::vector<int64_t> batch(8);
  DataSet(tokens, options({{"input_ids", file}}))
      .feed(0, 0, batch.data(), std::vector<int64_t>{4, 1});
  EXPECT_THAT(batch, ElementsAre(1, 255, 3, 4, 5, 6, 7, 8));
  write("a.bin.json", "{\"dtype\": ");
  EXPECT_THAT(messageOfFile(file), HasSubstr("a.bin.json: {\"dtype\": \"uint8\"}"));
  write("a.bin.json", R"({"dtype": "complex64"})");
  EXPECT_THAT(messageOfFile(file), HasSubstr("'complex64' is not a type of a data file"));
}

TEST_F(DataTest, InputsStayTogetherWhenShuffled) {
  std::vector<int32_t> x(40);
  std::vector<float> y(10);
  for (int i = 0; i < 10; ++i) {
    y[i] = static_cast<float>(i);
    for (int j = 0; j < 4; ++j)
      x[4 * i + j] = 100 * i + j;
  }
  planpb::Plan plan = planWith({{"x", planpb::I64, {2, 4}, 0}, {"y", planpb::F64, {2}, 0}}, 2);
  std::string xFile = write("x.bin", bytesOf(x)) + ":int32";
  std::string yFile = write("y.bin", bytesOf(y)) + ":float32";
  DataSet data(plan, options({{"y", yFile}, {"x", xFile}}, true));
  std::vector<double> seen;
  for (uint64_t position = 0; position < 10; position += 2) {
    std::vector<int64_t> xs(8);
    std::vector<double> ys(2);
    data.feed(0, position, xs.data(), std::vector<int64_t>{4, 1});
    data.feed(1, position, ys.data(), std::vector<int64_t>{1});
    for (int i = 0; i < 2; ++i) {
      seen.push_back(ys[i]);
      for (int j = 0; j < 4; ++j)
        EXPECT_EQ(xs[4 * i + j], 100 * ys[i] + j);
    }
  }
  EXPECT_FALSE(std::is_sorted(seen.begin(), seen.end()));
  std::sort(seen.begin(), seen.end());
  EXPECT_THAT(seen, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
}

TEST_F(DataTest, BatchDimensionAndStridesMayBeAny) {
  // Shape [3, batch 2, 2] in memory with padded strides.
  planpb::Plan plan = planWith({{"x", planpb::F32, {3, 2, 2}, 1}}, 2);
  std::vector<float> rows(12);
  std::iota(rows.begin(), rows.end(), 0.0f);
  DataSet data(plan, options({{"x", write("x.bin", bytesOf(rows)) + ":float32"}}));
  std::vector<float> memory(64, -1);
  std::vector<int64_t> strides = {17, 8, 2};
  data.feed(0, 0, memory.data(), strides);
  size_t written = 0;
  for (int b = 0; b < 2; ++b)
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 2; ++j, ++written)
        EXPECT_EQ(memory[17 * i + 8 * b + 2 * j], rows[6 * b + 2 * i + j]);
  EXPECT_EQ(std::count(memory.begin(), memory.end(), -1.0f), 64 - int(written));
}

TEST_F(DataTest, InputWithoutBatchIsTheSameEveryTime) {
  planpb::Plan plan = planWith({{"mask", planpb::F32, {2, 2}, -1}}, 4);
  std::string file =
      write("m.npy", numpyBytes(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }",
                                bytesOf(std::vector<double>{1, 2, 3, 4})));
  DataSet data(plan, options({{"mask", file}}));
  for (uint64_t position : {0, 4, 400}) {
    std::vector<float> batch(4);
    data.feed(0, position, batch.data(), std::vector<int64_t>{2, 1});
    EXPECT_THAT(batch, ElementsAre(1, 2, 3, 4));
  }
}

TEST_F(DataTest, NumpyVersionsAndTypes) {
  std::string data = bytesOf(std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7, -8});
  for (int version : {1, 2, 3}) {
    std::string file = write(
        "a.npy",
        numpyBytes(version, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 4)}", data));
    std::vector<int64_t> batch(8);
    DataSet(tokens, options({{"input_ids", file}}))
        .feed(0, 0, batch.data(), std::vector<int64_t>{4, 1});
    EXPECT_THAT(batch, ElementsAre(1, 2, 3, 4, 5, 6, 7, -8));
  }
}

TEST_F(DataTest, NumpyFaults) {
  std::string data = bytesOf(std::vector<int32_t>(8));
  auto fault = [&](const std::string &header, int version = 1) {
    return messageOfFile(write("a.npy", numpyBytes(version, header, data)));
  };
  EXPECT_THAT(fault("{'descr': '<i4', 'fortran_order': True, 'shape': (2, 4)}"),
              HasSubstr("Fortran order"));
  EXPECT_THAT(fault("{'descr': '>i4', 'fortran_order': False, 'shape': (2, 4)}"),
              HasSubstr("type >i4 cannot be read"));
  EXPECT_THAT(fault("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 5)}"),
              HasSubstr("truncated: 32 bytes of data of 40"));
  EXPECT_THAT(fault("{'descr': '<i4', 'fortran_order': False, 'shape': (4, 2)}"),
              AllOf(HasSubstr("has the shape (4, 2)"), HasSubstr("input_ids takes (samples, 4)")));
  EXPECT_THAT(fault("{'descr': '<i4', 'fortran_order': False, 'shape': (8,)}"),
              HasSubstr("has the shape (8)"));
  EXPECT_THAT(fault("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4)}"),
              HasSubstr("holds f32 numbers, but input input_ids takes i64"));
  EXPECT_THAT(fault("{'descr': '<i4', 'fortran_order': False, 'shape': (-2, 4)}"),
              HasSubstr("header is not valid"));
  EXPECT_THAT(fault("{'descr': '<i4', 'fortran_order': False, 'shape': (99999999999999999999, 4)}"),
              HasSubstr("header is not valid"));
  EXPECT_THAT(fault("{'descr': '<i4', 'fortran_order': False, 'shape': (9223372036854775807, "
                    "9223372036854775807)}"),
              HasSubstr("truncated"));
  EXPECT_THAT(fault("not a dictionary"), HasSubstr("header is not valid"));
  EXPECT_THAT(fault("{}", 4), HasSubstr("format 4 is not known"));
  EXPECT_THAT(messageOfFile(write("b.npy", "hello")), HasSubstr("is not a .npy file"));
  std::string whole =
      numpyBytes(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 4)}", data);
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_NE(messageOfFile(write("c.npy", whole.substr(0, length))), "");
}

TEST_F(DataTest, AllFaultsAreReportedTogether) {
  planpb::Plan plan = planWith(
      {{"a", planpb::I64, {2, 4}, 0}, {"b", planpb::I64, {2, 4}, 0}, {"c", planpb::I64, {2}, 0}},
      2);
  EXPECT_THAT(message(plan, {{"d", "x"}, {"a", directory.path("missing")}}),
              AllOf(HasSubstr("the plan has no input d; it has a, b, c"),
                    HasSubstr("missing: cannot be opened"),
                    HasSubstr("input b (i64 of shape 2x4) has no data; give --data b=FILE"),
                    HasSubstr("input c")));
}

TEST_F(DataTest, CountsMustFit) {
  std::string eight = write("8.bin", std::string(8 * 4, 'a')) + ":uint8";
  std::string seven = write("7.bin", std::string(7 * 4, 'a')) + ":uint8";
  planpb::Plan plan = planWith({{"a", planpb::I64, {2, 4}, 0}, {"b", planpb::I64, {2, 4}, 0}}, 2);
  EXPECT_THAT(message(plan, {{"a", eight}, {"b", seven}}),
              AllOf(HasSubstr("has 7 samples"), HasSubstr("has 8 for input a")));
  tokens.mutable_training()->set_global_batch(9);
  EXPECT_THAT(messageOfFile(eight),
              HasSubstr("too short: it has 8 samples of 4 numbers, a step takes 9 samples"));
  EXPECT_THAT(messageOfFile(write("odd.bin", "abcde") + ":uint16"),
              HasSubstr("not a whole number of uint16"));
}

TEST_F(DataTest, NumbersOutOfRangeAreNamed) {
  tokens.mutable_inputs(0)->set_index_bound(100);
  std::vector<int32_t> numbers(16, 5);
  numbers[9] = 100;
  std::string file = write("a.bin", bytesOf(numbers)) + ":int32";
  DataSet data(tokens, options({{"input_ids", file}}));
  std::vector<int64_t> batch(8);
  data.feed(0, 0, batch.data(), std::vector<int64_t>{4, 1});
  std::string found = messageOf([&] { data.feed(0, 2, batch.data(), std::vector<int64_t>{4, 1}); });
  EXPECT_THAT(found, HasSubstr("number 1 of sample 2 is 100, but input input_ids takes 0 to 99"));
}

TEST_F(DataTest, AnIgnoredNumberMayLieOutsideTheRange) {
  tokens.mutable_inputs(0)->set_index_bound(100);
  tokens.mutable_inputs(0)->set_ignored_index(-100);
  std::vector<int32_t> numbers(16, -100);
  numbers[9] = -1;
  std::string file = write("a.bin", bytesOf(numbers)) + ":int32";
  DataSet data(tokens, options({{"input_ids", file}}));
  std::vector<int64_t> batch(8);
  data.feed(0, 0, batch.data(), std::vector<int64_t>{4, 1});
  EXPECT_EQ(batch, std::vector<int64_t>(8, -100));
  std::string found = messageOf([&] { data.feed(0, 2, batch.data(), std::vector<int64_t>{4, 1}); });
  EXPECT_THAT(found, HasSubstr("number 1 of sample 2 is -1, but input input_ids takes 0 to 99 and "
                               "-100, which is ignored"));
}

} // namespace
