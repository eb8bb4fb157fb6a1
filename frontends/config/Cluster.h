/// The cluster file: what the machine can do, for the planner's costs. docs/cluster.md lists the
/// keys.
///
/// The file has a unit in every key (GiB = 2^30 bytes, GB = 10^9 bytes, us, TFLOP = 10^12
/// floating-point operations); in here everything is in bytes, seconds and operations. Bandwidths
/// of links are those of one rank and one direction.
#pragma once

#include "frontends/config/Diagnostic.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deepshard {

/// How fast a device multiplies matrices of one dtype; a multiplication and an addition are two
/// operations.
struct Matmul {
  double peakFlopsPerSecond = 0;
  double efficiency = 1; ///< share of the peak that large matmuls reach, in (0, 1]

  /// What large matmuls reach.
  double flopsPerSecond() const { return peakFlopsPerSecond * efficiency; }
};

/// What one rank computes on; all ranks have the same.
struct Device {
  std::string name = "device";
  std::string gpu; ///< the kind of NVIDIA GPU that it is, as "sm_90"; empty: a CPU
  int64_t memoryBytes = 0;
  int64_t reserveBytes = 0; ///< of the memory, what no plan may use; less than all of it
  double memoryBytesPerSecond = 0;
  double launchSeconds = 0; ///< of one kernel
  /// By dtype, at least one: "f64", "f32", "tf32", "bf16", "f16", "f8". What is absent is not
  /// known.
  std::map<std::string, Matmul, std::less<>> matmul;

  /// What a plan may use; above 0.
  int64_t usableBytes() const { return memoryBytes - reserveBytes; }
};

/// Links that join `size` neighbouring ranks: `size * i` to `size * (i + 1) - 1` for each i.
struct Tier {
  std::string name; ///< no two tiers have the same
  int64_t size = 0; ///< ranks, those of the tiers within included
  double latencySeconds = 0;
  double bytesPerSecond = 0;
};

/// The ranks of the innermost tier share one host.
struct Host {
  int64_t memoryBytes = 0;
  double toDeviceBytesPerSecond = 0; ///< of one device, each way
};

/// Of one host.
struct Disk {
  double readBytesPerSecond = 0;
  double writeBytesPerSecond = 0;
};

struct Cluster {
  Device device;
  /// Innermost first, at least one; each size is a multiple of the one before, and larger.
  std::vector<Tier> tiers;
  std::optional<Host> host;
  std::optional<Disk> disk;

  /// The size of the outermost tier.
  int64_t ranks() const;
};

struct ClusterResult {
  std::optional<Cluster> cluster;
  std::vector<Diagnostic> errors; ///< all faults; empty if and only if `cluster` is set
};

/// Reads the file at `path`.
ClusterResult parseClusterFile(const std::string &path);

/// Reads `text`; `name` stands for the file's name in messages.
ClusterResult parseClusterText(std::string_view text, const std::string &name);

} // namespace deepshard
