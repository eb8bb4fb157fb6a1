//===- Quantities.h - times and bytes as remarks write them -----------------------------------===//

#ifndef DEEPSHARD_PASSES_QUANTITIES_H
#define DEEPSHARD_PASSES_QUANTITIES_H

#include "llvm/Support/FormatVariadic.h"

#include <cstdint>
#include <string>

namespace deepshard {

/// "8.00 KiB", "1.20 MiB".
inline std::string bytesText(int64_t bytes) {
  const double kibibytes = static_cast<double>(bytes) / 1024;
  if (kibibytes >= 1024)
    return llvm::formatv("{0:F2} MiB", kibibytes / 1024);
  return llvm::formatv("{0:F2} KiB", kibibytes);
}

/// "4.10 us", "12.30 ms".
inline std::string timeText(int64_t picoseconds) {
  const double microseconds = static_cast<double>(picoseconds) * 1e-6;
  if (microseconds >= 1e4)
    return llvm::formatv("{0:F2} ms", microseconds * 1e-3);
  return llvm::formatv("{0:F2} us", microseconds);
}

} // namespace deepshard

#endif // DEEPSHARD_PASSES_QUANTITIES_H
