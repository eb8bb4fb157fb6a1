//===- CpuLevel.cpp - what instructions this machine has --------------------------------------===//

#include "runtime/kernels/CpuLevel.h"

using namespace deepshard::runtime;

/// 0 for a level that is not known, so that comparing ranks never lets an unknown one pass.
static int rankOf(std::string_view level) {
  for (int i = 0; i < static_cast<int>(kCpuLevels.size()); ++i)
    if (kCpuLevels[i] == level)
      return i + 1;
  return 0;
}

std::string_view deepshard::runtime::cpuLevel() {
  // The built-in also asks the operating system whether it saves the wide registers.
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                  __builtin_cpu_supports("f16c") && __builtin_cpu_supports("lzcnt") &&
                  __builtin_cpu_supports("movbe") && __builtin_cpu_supports("popcnt");
  if (!v3)
    return "too old";
  const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  if (!v4)
    return "x86-64-v3";
  return __builtin_cpu_supports("avx512bf16") ? "x86-64-v4-bf16" : "x86-64-v4";
}

bool deepshard::runtime::offers(std::string_view have, std::string_view wanted) {
  return rankOf(wanted) > 0 && rankOf(have) >= rankOf(wanted);
}
