//===- CpuLevel.h - what instructions this machine has ----------------------------------------===//
//
// Compiled for plain x86-64: it answers before anything newer runs.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CPULEVEL_H
#define DEEPSHARD_RUNTIME_KERNELS_CPULEVEL_H

#include <array>
#include <string_view>

namespace deepshard::runtime {

/// The levels that plans are made for, ascending.
inline constexpr std::array<std::string_view, 3> kCpuLevels = {"x86-64-v3", "x86-64-v4",
                                                               "x86-64-v4-bf16"};

/// The highest level that this machine and its operating system offer: "x86-64-v3" (AVX2, FMA),
/// "x86-64-v4" (AVX-512), "x86-64-v4-bf16" (AVX-512 with bf16 dot products); "too old" below these.
std::string_view cpuLevel();

/// Whether a machine of level `have` runs code for level `wanted`. False if either is not one of
/// the three levels.
bool offers(std::string_view have, std::string_view wanted);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_CPULEVEL_H
