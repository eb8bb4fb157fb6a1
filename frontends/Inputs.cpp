//===- Inputs.cpp - what the user says about a model's inputs ---------------------------------===//

#include "frontends/Inputs.h"

#include <algorithm>
#include <charconv>

using namespace deepshard;

namespace {

constexpr std::string_view kBatch = "batch";
constexpr std::string_view kContext = "context";

/// Takes `@context` off the end of a size and marks the dimension that comes next.
bool parseAxis(std::string_view &text, InputSpec &spec, std::string &error) {
  size_t at = text.find('@');
  if (at == std::string_view::npos)
    return true;
  std::string_view axis = text.substr(at + 1);
  text = text.substr(0, at);
  if (axis != kContext)
    error = "'@" + std::string(axis) + "' is no axis that cuts an input; only @context is";
  else if (text == kBatch)
    error = "the batch is cut by the data axis; @context belongs to the sequence";
  else if (spec.sequenceDimension)
    error = "'@context' marks two dimensions; one dimension can be the sequence";
  else
    spec.sequenceDimension = spec.shape.size();
  return error.empty();
}

/// One size: a number of at least 1, or the word `batch`.
bool parseSize(std::string_view text, InputSpec &spec, std::string &error) {
  if (!parseAxis(text, spec, error))
    return false;
  if (text == kBatch) {
    if (spec.batchDimension) {
      error = "'batch' names two dimensions; one dimension can be the batch";
      return false;
    }
    spec.batchDimension = spec.shape.size();
    spec.shape.push_back(0);
    return true;
  }
  int64_t size = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (code != std::errc() || end != text.data() + text.size() || size < 1) {
    error = "size '" + std::string(text) + "' is neither a whole number above 0 nor the word batch";
    return false;
  }
  spec.shape.push_back(size);
  return true;
}

bool parseShape(std::string_view text, InputSpec &spec, std::string &error) {
  while (!text.empty()) {
    // The word "batch" has no 'x', so the next 'x' ends a size; that of "@context" does not.
    size_t end = std::min(text.find('x'), text.size());
    if (size_t at = text.find('@'); at < end) {
      bool isContext = text.substr(at + 1).starts_with(kContext);
      end = isContext ? text.find('x', at + 1 + kContext.size()) : text.size();
      end = std::min(end, text.size());
    }
    if (!parseSize(text.substr(0, end), spec, error))
      return false;
    if (end + 1 == text.size()) {
      error = "a size is missing after the last 'x'";
      return false;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

bool parseParts(std::string_view text, InputSpec &spec, std::string &error) {
  size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    error = "there is no NAME= in front";
    return false;
  }
  spec.name = text.substr(0, equals);
  text.remove_prefix(equals + 1);
  size_t bracket = text.find('[');
  if (bracket == std::string_view::npos || text.back() != ']') {
    error = "the shape in [ ] is missing";
    return false;
  }
  spec.elementType = text.substr(0, bracket);
  if (std::find(std::begin(kElementTypeNames), std::end(kElementTypeNames), spec.elementType) ==
      std::end(kElementTypeNames)) {
    error = "'" + spec.elementType + "' is no element type; known are";
    for (std::string_view name : kElementTypeNames)
      error += " " + std::string(name);
    return false;
  }
  return parseShape(text.substr(bracket + 1, text.size() - bracket - 2), spec, error);
}

} // namespace

std::vector<int64_t> InputSpec::resolve(int64_t batch) const {
  std::vector<int64_t> result = shape;
  if (batchDimension)
    result[*batchDimension] = batch;
  return result;
}

std::string InputSpec::toString() const {
  std::string result = name + "=" + elementType + "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    result += i ? "x" : "";
    result += batchDimension == i ? std::string(kBatch) : std::to_string(shape[i]);
    result += sequenceDimension == i ? "@" + std::string(kContext) : "";
  }
  return result + "]";
}

std::optional<InputSpec> deepshard::parseInputSpec(std::string_view text, std::string &error) {
  InputSpec spec;
  error.clear();
  if (parseParts(text, spec, error))
    return spec;
  error = "--input '" + std::string(text) + "': " + error +
          "; write it as NAME=DTYPE[AxBxC], for example input_ids=i64[batchx256]";
  return std::nullopt;
}
