//===- SampleFile.cpp - rows of numbers in a file ---------------------------------------------===//

#include "runtime/data/SampleFile.h"

#include "runtime/data/Convert.h"
#include "runtime/data/Numpy.h"
#include "runtime/plan/Error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <string_view>

#include <unistd.h>

namespace deepshard::runtime {

namespace {

struct FlatType {
  std::string_view name;
  DType dtype;
};
constexpr FlatType kFlatTypes[] = {
    {"uint8", DType::U8},  {"uint16", DType::U16},  {"int32", DType::I32},
    {"int64", DType::I64}, {"float32", DType::F32}, {"float64", DType::F64},
};
constexpr const char *kFlatTypeNames = "uint8, uint16, int32, int64, float32, float64";

const FlatType *flatTypeNamed(std::string_view name) {
  auto found = std::find_if(std::begin(kFlatTypes), std::end(kFlatTypes),
                            [&](const FlatType &type) { return type.name == name; });
  return found == std::end(kFlatTypes) ? nullptr : found;
}

std::string sidecarOf(const std::string &path) { return path + ".json"; }

/// The type that the file beside a flat file names.
std::string readSidecar(const std::string &path) {
  std::string name = sidecarOf(path);
  InputFile file(name);
  constexpr uint64_t kMostBytes = 1 << 20;
  std::string text(std::min(file.size(), kMostBytes), '\0');
  file.read(0, text.data(), text.size());
  nlohmann::json content = nlohmann::json::parse(text, nullptr, false);
  if (!content.is_object() || !content.contains("dtype") || !content["dtype"].is_string())
    throw Error(fmt::format(R"({}: {{"dtype": "uint8"}} or another of {} was expected)", name,
                            kFlatTypeNames));
  return content["dtype"].get<std::string>();
}

int64_t productOf(const std::vector<int64_t> &shape) {
  int64_t product = 1;
  for (int64_t size : shape)
    product *= size;
  return product;
}

} // namespace

SampleFile::Named SampleFile::splitName(const std::string &name) {
  size_t colon = name.rfind(':');
  bool isWholePath = ::access(name.c_str(), F_OK) == 0;
  if (colon == std::string::npos || isWholePath || name.find('/', colon) != std::string::npos)
    return {name, ""};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

SampleFile::SampleFile(const std::string &name, const SampleType &type)
    : SampleFile(splitName(name), type) {}

SampleFile::SampleFile(const Named &named, const SampleType &type)
    : file(named.path), givenDType(named.dtype) {
  if (named.path.ends_with(".npy"))
    openNumpy(type);
  else
    openFlat(type);
}

void SampleFile::requireConvertible(const SampleType &type) const {
  if (isConvertible(fileDType, type.dtype))
    return;
  throw Error(fmt::format("{}: holds {} numbers, but input {} takes {}", file.path(),
                          nameOf(fileDType), type.input, nameOf(type.dtype)));
}

void SampleFile::openNumpy(const SampleType &type) {
  if (!givenDType.empty())
    throw Error(fmt::format("{}: a .npy file names its own type; leave out ':{}'", file.path(),
                            givenDType));
  NumpyHeader header = readNumpyHeader(file);
  fileDType = header.dtype;
  begin = header.dataBegin;
  requireConvertible(type);
  size_t leading = type.hasSamples ? 1 : 0;
  bool isAsExpected = header.shape.size() == type.shape.size() + leading &&
                      std::equal(type.shape.begin(), type.shape.end(),
                                 header.shape.begin() + static_cast<ptrdiff_t>(leading));
  if (!isAsExpected) {
    std::string rest = type.shape.empty() ? "" : fmt::format("{}", fmt::join(type.shape, ", "));
    std::string expected = type.hasSamples
                               ? fmt::format("(samples{}{})", rest.empty() ? "" : ", ", rest)
                               : fmt::format("({})", rest);
    throw Error(fmt::format("{}: has the shape ({}), but input {} takes {}", file.path(),
                            fmt::join(header.shape, ", "), type.input, expected));
  }
  sampleBytes = static_cast<uint64_t>(productOf(type.shape)) * sizeOf(fileDType);
  count = type.hasSamples ? static_cast<uint64_t>(header.shape[0]) : 1;
}

void SampleFile::openFlat(const SampleType &type) {
  const std::string &path = file.path();
  std::string dtypeName = givenDType;
  if (dtypeName.empty()) {
    if (::access(sidecarOf(path).c_str(), F_OK) != 0)
      throw Error(fmt::format("{0}: the type of its numbers is not known; give it as --data "
                              "{1}={0}:uint8 (or {2}), or write {3} with {{\"dtype\": \"uint8\"}} "
                              "beside it",
                              path, type.input, kFlatTypeNames, sidecarOf(path)));
    dtypeName = readSidecar(path);
  }
  const FlatType *known = flatTypeNamed(dtypeName);
  if (!known)
    throw Error(fmt::format("{}: '{}' is not a type of a data file; {} are", path, dtypeName,
                            kFlatTypeNames));
  fileDType = known->dtype;
  requireConvertible(type);
  if (file.size() % sizeOf(fileDType) != 0)
    throw Error(
        fmt::format("{}: {} bytes are not a whole number of {} elements; is the type right?", path,
                    file.size(), dtypeName));
  sampleBytes = static_cast<uint64_t>(productOf(type.shape)) * sizeOf(fileDType);
  count = file.size() / sampleBytes;
  if (!type.hasSamples && count == 0)
    throw Error(fmt::format("{}: holds {} numbers, but input {} takes {}", path,
                            file.size() / sizeOf(fileDType), type.input, productOf(type.shape)));
  if (!type.hasSamples)
    count = 1;
}

} // namespace deepshard::runtime
