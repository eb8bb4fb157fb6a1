//===- SafeTensors.cpp - weights in the format of Hugging Face --------------------------------===//

#include "runtime/checkpoint/SafeTensors.h"

#include "runtime/plan/Error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

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

std::string headerOf(const std::vector<SavedTensor> &tensors) {
  Json header = Json::object();
  Json metadata = {{"format", "pt"}};
  uint64_t offset = 0;
  for (const SavedTensor &tensor : tensors) {
    uint64_t end = offset + savedBytes(tensor);
    header[tensor.name] = {{"dtype", std::string(typeNameOf(tensor.desc.dtype))},
                           {"shape", tensor.desc.shape},
                           {"data_offsets", {offset, end}}};
    for (const std::string &alias : tensor.aliases)
      metadata[alias] = tensor.name;
    offset = end;
  }
  header[kMetadata] = metadata;
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  // Data start at a multiple of 8 bytes.
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

/// Writes a strided tensor row-major through a small block of memory.
void writeStrided(OutputFile &file, const SavedTensor &tensor) {
  constexpr size_t kBlockBytes = size_t{1} << 20;
  size_t width = sizeOf(tensor.desc.dtype);
  const char *data = static_cast<const char *>(tensor.data);
  std::vector<char> block;
  block.reserve(kBlockBytes);
  std::vector<int64_t> index(tensor.desc.shape.size(), 0);
  int64_t at = 0;
  for (int64_t left = tensor.desc.elements(); left > 0; --left) {
    const char *element = data + at * static_cast<int64_t>(width);
    block.insert(block.end(), element, element + width);
    if (block.size() + width > kBlockBytes || left == 1) {
      file.write(block.data(), block.size());
      block.clear();
    }
    for (size_t i = index.size(); i-- > 0;) {
      at += tensor.desc.strides[i];
      if (++index[i] < tensor.desc.shape[i])
        break;
      at -= index[i] * tensor.desc.strides[i];
      index[i] = 0;
    }
  }
}

} // namespace

void saveSafeTensors(const std::string &path, const std::vector<SavedTensor> &given) {
  // Wide types first, so that every tensor is aligned to its type, as the reference implementation
  // does.
  std::vector<SavedTensor> tensors = given;
  std::stable_sort(tensors.begin(), tensors.end(), [](const SavedTensor &a, const SavedTensor &b) {
    return sizeOf(a.desc.dtype) > sizeOf(b.desc.dtype);
  });
  std::string header = headerOf(tensors);
  unsigned char length[8];
  for (size_t i = 0; i < sizeof(length); ++i)
    length[i] = static_cast<unsigned char>(uint64_t{header.size()} >> (8 * i));
  OutputFile file(path);
  file.write(length, sizeof(length));
  file.write(header.data(), header.size());
  for (const SavedTensor &tensor : tensors) {
    if (tensor.desc.isContiguous())
      file.write(tensor.data, savedBytes(tensor));
    else
      writeStrided(file, tensor);
  }
  file.commit();
}

} // namespace deepshard::runtime
