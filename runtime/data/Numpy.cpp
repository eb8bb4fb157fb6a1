//===- Numpy.cpp - the header of a .npy file --------------------------------------------------===//

#include "runtime/data/Numpy.h"

#include "runtime/plan/Error.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

namespace deepshard::runtime {

namespace {

/// The types that inputs can be made of, as NumPy writes them on a little-endian machine.
struct NumpyType {
  std::string_view name;
  DType dtype;
};
constexpr NumpyType kTypes[] = {
    {"<f4", DType::F32}, {"<f8", DType::F64}, {"<f2", DType::F16},
    {"<i8", DType::I64}, {"<i4", DType::I32}, {"|i1", DType::I8},
    {"|b1", DType::I1},  {"|u1", DType::U8},  {"<u2", DType::U16},
};

/// The header is a Python dictionary literal with three entries of known form.
class Literal {
public:
  explicit Literal(std::string_view text) : text(text) {}

  /// The text after "'key':", without leading blanks.
  std::optional<std::string_view> valueOf(std::string_view key) const {
    for (char quote : {'\'', '"'}) {
      std::string quoted = fmt::format("{}{}{}", quote, key, quote);
      size_t at = text.find(quoted);
      if (at == std::string_view::npos)
        continue;
      size_t colon = text.find_first_not_of(" \t", at + quoted.size());
      if (colon == std::string_view::npos || text[colon] != ':')
        continue;
      size_t value = text.find_first_not_of(" \t", colon + 1);
      if (value != std::string_view::npos)
        return text.substr(value);
    }
    return std::nullopt;
  }

private:
  std::string_view text;
};

std::optional<std::string_view> parseText(std::string_view value) {
  if (value.empty() || (value[0] != '\'' && value[0] != '"'))
    return std::nullopt;
  size_t end = value.find(value[0], 1);
  if (end == std::string_view::npos)
    return std::nullopt;
  return value.substr(1, end - 1);
}

std::optional<std::vector<int64_t>> parseTuple(std::string_view value) {
  if (value.empty() || value[0] != '(')
    return std::nullopt;
  std::vector<int64_t> numbers;
  const char *position = value.data() + 1;
  const char *end = value.data() + value.size();
  while (position != end && *position != ')') {
    if (*position == ' ' || *position == ',') {
      ++position;
      continue;
    }
    int64_t number = 0;
    auto [next, error] = std::from_chars(position, end, number);
    if (error != std::errc() || number < 0)
      return std::nullopt;
    numbers.push_back(number);
    position = next;
  }
  if (position == end)
    return std::nullopt;
  return numbers;
}

/// Reads the dictionary; sets where the data begin.
std::string readDictionary(const InputFile &file, uint64_t &dataBegin) {
  constexpr std::string_view kMagic("\x93NUMPY", 6);
  unsigned char start[12] = {};
  file.read(0, start, std::min<uint64_t>(sizeof(start), file.size()));
  if (file.size() < sizeof(start) || std::memcmp(start, kMagic.data(), kMagic.size()) != 0)
    throw Error(fmt::format("{}: is not a .npy file", file.path()));
  int version = start[6];
  if (version < 1 || version > 3)
    throw Error(
        fmt::format("{}: .npy format {} is not known; 1, 2 and 3 are", file.path(), version));
  uint64_t length = start[8] | start[9] << 8;
  if (version > 1)
    length |= uint64_t{start[10]} << 16 | uint64_t{start[11]} << 24;
  uint64_t begin = version == 1 ? 10 : 12;
  if (length > file.size() - begin)
    throw Error(fmt::format("{}: the .npy header is truncated", file.path()));
  std::string text(length, '\0');
  file.read(begin, text.data(), text.size());
  dataBegin = begin + length;
  return text;
}

} // namespace

NumpyHeader readNumpyHeader(const InputFile &file) {
  NumpyHeader header;
  std::string text = readDictionary(file, header.dataBegin);
  Literal literal(text);
  auto type = parseText(literal.valueOf("descr").value_or(""));
  auto shape = parseTuple(literal.valueOf("shape").value_or(""));
  std::string_view order = literal.valueOf("fortran_order").value_or("");
  if (!type || !shape || (!order.starts_with("False") && !order.starts_with("True")))
    throw Error(fmt::format("{}: the .npy header is not valid: {}", file.path(), text));
  const NumpyType *known =
      std::find_if(std::begin(kTypes), std::end(kTypes),
                   [&](const NumpyType &candidate) { return candidate.name == *type; });
  if (known == std::end(kTypes))
    throw Error(fmt::format("{}: elements of type {} cannot be read; save it as bool, int8, uint8, "
                            "uint16, int32, int64, float16, float32 or float64, little endian",
                            file.path(), *type));
  if (order.starts_with("True"))
    throw Error(
        fmt::format("{}: is in Fortran order; save numpy.ascontiguousarray(x)", file.path()));
  unsigned __int128 bytes = sizeOf(known->dtype);
  for (int64_t size : *shape)
    bytes = std::min<unsigned __int128>(bytes * static_cast<uint64_t>(size), UINT64_MAX);
  if (bytes > file.size() - header.dataBegin)
    throw Error(fmt::format("{}: is truncated: {} bytes of data of {} are there", file.path(),
                            file.size() - header.dataBegin, static_cast<uint64_t>(bytes)));
  header.dtype = known->dtype;
  header.shape = std::move(*shape);
  return header;
}

} // namespace deepshard::runtime
