//===- SafeTensorsTest.cpp - weights in and out -----------------------------------------------===//

#include "runtime/checkpoint/SafeTensors.h"

#include "runtime/checkpoint/TensorReader.h"
#include "test/unit/runtime/PlanBuilder.h"

#include <numeric>

#include <sys/resource.h>

#include <csignal>

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::string safeTensorsBytes(const std::string &header, const std::string &data) {
  std::string text;
  for (int i = 0; i < 8; ++i)
    text += static_cast<char>(uint64_t{header.size()} >> (8 * i) & 0xff);
  return text + header + data;
}

Box wholeOf(const TensorDesc &desc) {
  return {std::vector<int64_t>(desc.shape.size(), 0), desc.shape};
}

/// Reads a whole tensor, piece by piece.
void readAll(const FileTensor &from, const TensorDesc &desc, void *to) {
  std::vector<char> staging;
  for (const Box &piece : cutIntoPieces(from.desc, wholeOf(from.desc))) {
    int64_t at = 0;
    for (size_t i = 0; i < piece.begin.size(); ++i)
      at += piece.begin[i] * desc.strides[i];
    readPiece(from, piece, desc, static_cast<char *>(to) + at * int64_t(sizeOf(desc.dtype)),
              staging);
  }
}

struct SafeTensorsTest : testing::Test {
  TemporaryDirectory directory;
  std::string path = directory.path("w.safetensors");
  std::vector<float> numbers = {0, 1, 2, 3, 4, 5};
  std::vector<int64_t> step = {42};
  std::vector<SavedTensor> tensors = {
      {"shared", {"tied"}, TensorDesc::contiguous(DType::F32, {3, 2}), numbers.data()},
      {"step", {}, TensorDesc::contiguous(DType::I64, {}), step.data()},
      {"plain", {}, TensorDesc::contiguous(DType::F32, {2, 3}), numbers.data()},
  };

  std::string messageFor(const std::string &bytes) {
    writeFile(path, bytes);
    return messageOf([&] { SafeTensorsFile file(path); });
  }
};

TEST_F(SafeTensorsTest, RoundTrip) {
  saveSafeTensors(path, tensors);
  SafeTensorsFile file(path);
  EXPECT_EQ(file.entries().size(), 3u);
  const SafeTensorsFile::Entry *entry = file.find("tied");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry, file.find("shared"));
  EXPECT_THAT(entry->shape, ElementsAre(3, 2));
  std::vector<float> read(6);
  file.file().read(entry->offset, read.data(), 24);
  EXPECT_EQ(read, numbers);
  file.file().read(file.find("plain")->offset, read.data(), 24);
  EXPECT_EQ(read, numbers);
  int64_t number = 0;
  ASSERT_NE(file.find("step"), nullptr);
  EXPECT_EQ(file.find("step")->offset % 8, 0u);
  file.file().read(file.find("step")->offset, &number, 8);
  EXPECT_EQ(number, 42);
  EXPECT_EQ(file.find("other"), nullptr);
  EXPECT_THAT(directory.names(), ElementsAre("w.safetensors"));
}

TEST_F(SafeTensorsTest, DamagedFilesAreRefused) {
  saveSafeTensors(path, tensors);
  std::string good = readFile(path);
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_THAT(messageFor(good.substr(0, length)), HasSubstr(path)) << length;
  EXPECT_THAT(messageFor(safeTensorsBytes("[]", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(messageFor(safeTensorsBytes("{\"a\": 1", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(messageFor(std::string(64, '\xff')), HasSubstr("is not a safetensors file"));
  for (const char *entry : {"1", "{}", R"({"dtype": "F32", "shape": [1], "data_offsets": [4, 0]})",
                            R"({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]})",
                            R"({"dtype": "F32", "shape": "x", "data_offsets": [0, 4]})",
                            R"({"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]})"})
    EXPECT_THAT(messageFor(safeTensorsBytes(std::string("{\"a\": ") + entry + "}", "1234")),
                HasSubstr("entry of tensor a is not valid"))
        << entry;
  EXPECT_THAT(messageFor(safeTensorsBytes(
                  R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}})", "1234")),
              HasSubstr("has 4 bytes"));
  EXPECT_THAT(
      messageFor(safeTensorsBytes(
          R"({"a": {"dtype": "F32", "shape": [4294967296, 4294967296, 4], "data_offsets": [0, 4]}})",
          "1234")),
      HasSubstr("has 4 bytes"));
}

TEST_F(SafeTensorsTest, FullDiskLeavesTheOldFile) {
  saveSafeTensors(path, tensors);
  std::string before = readFile(path);
  auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  rlimit small = {before.size() - 8, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  numbers[0] = 77;
  std::string message = messageOf([&] { saveSafeTensors(path, tensors); });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, ignored);
  EXPECT_THAT(message, HasSubstr(path + ": cannot be written"));
  EXPECT_EQ(readFile(path), before);
  EXPECT_THAT(directory.names(), ElementsAre("w.safetensors"));
}

/// Large enough for several pieces; every element must land where the strides say, whatever the
/// layouts.
TEST_F(SafeTensorsTest, StridedTensorsAreReadInPieces) {
  constexpr int64_t kA = 37, kB = 411, kC = 211; // 12.8 MB of f32
  std::vector<float> content(kA * kB * kC + 5);
  std::iota(content.begin(), content.end(), 0.0f);
  writeFile(path, bytesOf(content));
  InputFile file(path);
  std::vector<std::vector<int64_t>> layouts = {
      {kB * kC, kC, 1}, {1, kA, kA * kB}, {kC, kA * kC, 1}};
  for (const auto &strides : layouts) {
    FileTensor from = {&file, 20, {DType::F32, {kA, kB, kC}, strides}};
    EXPECT_GT(cutIntoPieces(from.desc, wholeOf(from.desc)).size(), 2u);
    for (DType dtype : {DType::F32, DType::F64}) {
      for (const auto &toStrides : layouts) {
        TensorDesc desc = {dtype, {kA, kB, kC}, toStrides};
        std::vector<double> memory(kA * kB * kC, -1);
        readAll(from, desc, memory.data());
        for (int64_t a = 0; a < kA; a += 3)
          for (int64_t b = 0; b < kB; b += 7)
            for (int64_t c = 0; c < kC; c += 5) {
              int64_t at = a * toStrides[0] + b * toStrides[1] + c * toStrides[2];
              double value =
                  dtype == DType::F64 ? memory[at] : reinterpret_cast<float *>(memory.data())[at];
              ASSERT_EQ(value, content[5 + a * strides[0] + b * strides[1] + c * strides[2]]);
            }
      }
    }
  }
}

TEST_F(SafeTensorsTest, RepeatedAndScalarTensors) {
  writeFile(path, bytesOf(std::vector<double>{1, 2, 3}));
  InputFile file(path);
  std::vector<float> memory(6, -1);
  readAll({&file, 8, {DType::F64, {3, 2}, {0, 1}}}, TensorDesc::contiguous(DType::F32, {3, 2}),
          memory.data());
  EXPECT_THAT(memory, ElementsAre(2, 3, 2, 3, 2, 3));
  readAll({&file, 16, {DType::F64, {}, {}}}, {DType::F32, {}, {}}, memory.data());
  EXPECT_EQ(memory[0], 3);
  TensorDesc empty = {DType::F64, {0, 4}, {4, 1}};
  EXPECT_TRUE(cutIntoPieces(empty, wholeOf(empty)).empty());
}

} // namespace
