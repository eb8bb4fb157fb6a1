//===- Metrics.cpp - one JSON object per step -------------------------------------------------===//

#include "runtime/trace/Metrics.h"

#include "runtime/plan/Error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>

namespace deepshard::runtime {

MetricsWriter::MetricsWriter(const std::string &path)
    : path(path), file(std::fopen(path.c_str(), "we")) {
  if (!file)
    throw Error(fmt::format("{}: cannot be written: {}", path, std::strerror(errno)));
}

void MetricsWriter::write(const StepMetrics &metrics) {
  // nlohmann writes the shortest text that reads back to the same double, and null for what is not
  // finite.
  nlohmann::ordered_json line;
  line["step"] = metrics.step;
  for (const auto &[name, value] : metrics.model)
    line[name] = value;
  line["lr"] = metrics.learningRate;
  line["step_seconds"] = metrics.stepSeconds;
  line["tokens_per_second"] = metrics.tokensPerSecond;
  line["samples"] = metrics.samples;
  line["peak_bytes"] = metrics.peakBytes;
  line["planned_bytes"] = metrics.plannedBytes;
  if (const auto &device = metrics.device)
    line["device_bytes"] = {{"count", device->count},
                            {"arenas", device->arenas},
                            {"arenas_took", device->arenasTook},
                            {"before", device->before},
                            {"taken", device->taken}};
  std::string text = line.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file.get()) != text.size() ||
      std::fflush(file.get()) != 0)
    throw Error(fmt::format("{}: cannot be written: {}", path, std::strerror(errno)));
}

} // namespace deepshard::runtime
