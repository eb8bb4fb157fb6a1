//===- GpuDescription.h - kinds of NVIDIA GPUs ------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_GPUDESCRIPTION_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_GPUDESCRIPTION_H

#include <optional>
#include <string>
#include <string_view>

namespace deepshard::runtime {

/// The chips that there is code generation for.
inline constexpr std::string_view kGpuChips[] = {"sm_80", "sm_90", "sm_90a", "sm_100", "sm_100a"};

/// A GPU and its driver.
struct GpuDescription {
  int capability = 0; ///< 90 for sm_90
  int processors = 0; ///< multiprocessors
  int driver = 0;     ///< the CUDA that the driver offers, 13000 for 13.0
};

/// "sm_90 with 132 multiprocessors, CUDA 13.0".
std::string textOf(const GpuDescription &gpu);

/// The data centre GPU of a chip ("sm_90": H100 SXM, H200) with a driver of CUDA 13.0; from
/// NVIDIA's published figures. Nothing for an unknown chip.
std::optional<GpuDescription> describedGpu(std::string_view chip);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_GPUDESCRIPTION_H
