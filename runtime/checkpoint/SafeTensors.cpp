//===- SafeTensors.cpp - weights in the format of Hugging Face --------------------------------===//

#include "runtime/checkpoint/SafeTensors.h"

#include "runtime/plan/Error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

namespace deepshard::runtime {

namespace {

using Json = nlohmann::json;

constexpr const char *kMetadata = "__metadata__";
/// The limit of the reference implementation.
constexpr uint64_t kMostHeaderBytes = 100'000'000;

struct TypeName {
  std::string_view name;
  DType dtype;
};
constexpr TypeName kTypes[] = {
    {"F32", DType::F32}, {"F64", DType::F64}, {"BF16", DType::BF16}, {"F16", DType::F16},
    {"I64", DType::I64}, {"I32", DType::I32}, {"I8", DType::I8},     {"BOOL", DType::I1},
    {"U8", DType::U8},   {"U16", DType::U16},
};

std::optional<DType> typeNamed(std::string_view name) {
  for (const TypeName &type : kTypes)
    if (type.name == name)
      return type.dtype;
  return std::nullopt;
}

std::string_view typeNameOf(DType dtype) {
  return std::find_if(std::begin(kTypes), std::end(kTypes),
                      [&](const TypeName &type) { return type.dtype == dtype; })
      ->name;
}

std::optional<std::vector<int64_t>> parseCounts(const Json &value) {
  if (!value.is_array())
    return std::nullopt;
  std::vector<int64_t> counts;
  for (const Json &item : value) {
    // Offsets and dimensions below 2^62 leave room for sums.
    if (!item.is_number_unsigned() || item.get<uint64_t>() >> 62 != 0)
      return std::nullopt;
    counts.push_back(item.get<int64_t>());
  }
  return counts;
}

/// Bytes of a row-major tensor; nothing if that leaves 62 bits.
std::optional<uint64_t> bytesOf(DType dtype, const std::vector<int64_t> &shape) {
  uint64_t bytes = sizeOf(dtype);
  for (int64_t size : shape)
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes) || bytes >> 62 != 0)
      return std::nullopt;
  return bytes;
}

Json readHeader(const InputFile &file, uint64_t &dataBegin) {
  unsigned char start[8] = {};
  if (file.size() < sizeof(start))
    throw Error(
        fmt::format("{}: is not a safetensors file: it has {} bytes", file.path(), file.size()));
  file.read(0, start, sizeof(start));
  uint64_t length = 0;
  for (size_t i = 0; i < sizeof(start); ++i)
    length |= uint64_t{start[i]} << (8 * i);
  if (length > kMostHeaderBytes || length < 2)
    throw Error(
        fmt::format("{}: is not a safetensors file: a header of {} bytes", file.path(), length));
  if (length > file.size() - sizeof(start))
    throw Error(fmt::format("{}: is truncated inside its header", file.path()));
  std::string text(length, '\0');
  file.read(sizeof(start), text.data(), text.size());
  dataBegin = sizeof(start) + length;
  Json header = Json::parse(text, nullptr, false);
  if (!header.is_object())
    throw Error(
        fmt::format("{}: is not a safetensors file: its header is not a JSON object", file.path()));
  return header;
}

} // namespace

SafeTensorsFile::SafeTensorsFile(const std::string &path) : source(path) {
  uint64_t dataBegin = 0;
  Json header = readHeader(source, dataBegin);
  uint64_t dataBytes = source.size() - dataBegin;
  for (const auto &[name, value] : header.items()) {
    if (name == kMetadata) {
      for (const auto &[key, text] : value.items())
        if (text.is_string())
          metadata[key] = text.get<std::string>();
      continue;
    }
    bool isComplete = value.is_object() && value.contains("dtype") && value["dtype"].is_string() &&
                      value.contains("shape") && value.contains("data_offsets");
    auto shape = isComplete ? parseCounts(value["shape"]) : std::nullopt;
    auto offsets = isComplete ? parseCounts(value["data_offsets"]) : std::nullopt;
    if (!shape || !offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1])
      throw Error(fmt::format("{}: the entry of tensor {} is not valid", path, name));
    auto begin = static_cast<uint64_t>((*offsets)[0]);
    auto end = static_cast<uint64_t>((*offsets)[1]);
    if (end > dataBytes)
      throw Error(fmt::format("{}: is truncated: tensor {} ends at byte {} of {} bytes of data",
                              path, name, end, dataBytes));
    std::optional<DType> dtype = typeNamed(value["dtype"].get<std::string>());
    if (!dtype)
      continue;
    if (bytesOf(*dtype, *shape) != end - begin)
      throw Error(
          fmt::format("{}: tensor {} has {} bytes, which is not what its type and shape take", path,
                      name, end - begin));
    table[name] = {*dtype, std::move(*shape), dataBegin + begin};
  }
}

const SafeTensorsFile::Entry *SafeTensorsFile::find(const std::string &name) const {
  auto found = table.find(name);
  if (found != table.end())
    return &found->second;
  auto alias = metadata.find(name);
  if (alias == metadata.end())
    return nullptr;
  found = table.find(alias->second);
  return found == table.end() ? nullptr : &found->second;
}

namespace {

uint64_t savedBytes(const SavedTensor &tensor) {
  return static_cast<uint64_t>(tensor.desc.elements()) * sizeOf(tensor.desc.dtype);
}

/// `offsets`: of each tensor, from the start of the data.
std::string headerOf(const std::vector<SavedTensor> &tensors,
                     const std::vector<uint64_t> &offsets) {
  Json header = Json::object();
  Json metadata = {{"format", "pt"}};
  for (size_t i = 0; i < tensors.size(); ++i) {
    const SavedTensor &tensor = tensors[i];
    header[tensor.name] = {{"dtype", std::string(typeNameOf(tensor.desc.dtype))},
                           {"shape", tensor.desc.shape},
                           {"data_offsets", {offsets[i], offsets[i] + savedBytes(tensor)}}};
    for (const std::string &alias : tensor.aliases)
      metadata[alias] = tensor.name;
  }
  header[kMetadata] = metadata;
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  // Data start at a multiple of 8 bytes.
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

} // namespace

SafeTensorsStart startSafeTensors(const std::vector<SavedTensor> &tensors) {
  // Wide types first, so that every tensor is aligned to its type, as the reference implementation
  // does.
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return sizeOf(tensors[a].desc.dtype) > sizeOf(tensors[b].desc.dtype);
  });
  std::vector<uint64_t> offsets(tensors.size());
  uint64_t end = 0;
  for (size_t i : order)
    offsets[i] = std::exchange(end, end + savedBytes(tensors[i]));
  std::string header = headerOf(tensors, offsets);
  std::string bytes(8, '\0');
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(uint64_t{header.size()} >> (8 * i));
  bytes += header;
  for (uint64_t &place : offsets)
    place += bytes.size();
  return {std::move(bytes), std::move(offsets)};
}

void saveSafeTensors(const std::string &path, const std::vector<SavedTensor> &tensors) {
  SafeTensorsStart start = startSafeTensors(tensors);
  OutputFile file(path);
  file.write(start.bytes.data(), start.bytes.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    assert(tensors[i].desc.isContiguous());
    file.writeAt(start.offsets[i], tensors[i].data, savedBytes(tensors[i]));
  }
  file.commit();
}

} // namespace deepshard::runtime
