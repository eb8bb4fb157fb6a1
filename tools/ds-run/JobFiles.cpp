//===- JobFiles.cpp - the files that all ranks of a run write together ------------------------===//

#include "tools/ds-run/JobFiles.h"

#include "runtime/plan/Error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace deepshard {

using namespace runtime;

[[noreturn]] static void failTrace() {
  throw Error(fmt::format("the time line of a rank cannot be kept in a temporary file: {}",
                          std::strerror(errno)));
}

JobFiles::JobFiles(const RunOptions &options, int ranks) {
  if (!options.saveWeights.empty())
    weightsFile = std::make_unique<OutputFile>(options.saveWeights);
  if (options.trace.empty())
    return;
  traceFile = std::make_unique<OutputFile>(options.trace);
  for (int rank = 0; rank < ranks; ++rank)
    if (!traceParts.emplace_back(std::tmpfile()))
      failTrace();
}

void JobFiles::writeTrace(int rank, const Timeline &timeline) const {
  std::FILE *part = traceParts[static_cast<size_t>(rank)].get();
  timeline.write([&](const std::string &event) {
    if (std::fwrite(event.data(), 1, event.size(), part) != event.size())
      failTrace();
  });
  if (std::fflush(part) != 0)
    failTrace();
}

void JobFiles::commitTrace() {
  if (!traceFile)
    return;
  std::vector<char> block(size_t{1} << 20);
  uint64_t end = 2;
  traceFile->writeAt(0, "[\n", 2);
  for (const auto &part : traceParts) {
    std::rewind(part.get());
    while (size_t bytes = std::fread(block.data(), 1, block.size(), part.get())) {
      traceFile->writeAt(end, block.data(), bytes);
      end += bytes;
    }
    if (std::ferror(part.get()))
      failTrace();
  }
  // The comma of the last event makes room for the bracket.
  traceFile->writeAt(end - 2, "\n]\n", 3);
  traceFile->commit();
}

void JobFiles::commitWeights() {
  if (weightsFile)
    weightsFile->commit();
}

} // namespace deepshard
