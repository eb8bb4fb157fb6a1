//===- GpuDescription.cpp - kinds of NVIDIA GPUs ----------------------------------------------===//

#include "runtime/kernels/cuda/GpuDescription.h"

#include <fmt/format.h>

namespace deepshard::runtime {

std::string textOf(const GpuDescription &gpu) {
  return fmt::format("sm_{} with {} multiprocessors, CUDA {}.{}", gpu.capability, gpu.processors,
                     gpu.driver / 1000, gpu.driver % 1000 / 10);
}

std::optional<GpuDescription> describedGpu(std::string_view chip) {
  constexpr int kDriver = 13000; // the oldest that runs plans
  if (chip.ends_with('a'))
    chip.remove_suffix(1);
  if (chip == "sm_80") // A100
    return GpuDescription{80, 108, kDriver};
  if (chip == "sm_90") // H100 SXM, H200
    return GpuDescription{90, 132, kDriver};
  if (chip == "sm_100") // B200
    return GpuDescription{100, 148, kDriver};
  return std::nullopt;
}

} // namespace deepshard::runtime
