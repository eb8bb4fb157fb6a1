//===- FakeVersions.cpp - versions of cuDNN and of NVRTC, to be found -------------------------===//
//
// What the two are asked before graphs are built, which FakeGraphs.cpp does without them.
//
//===------------------------------------------------------------------------------------------===//

#include <cstddef>
#include <cstdlib>

extern "C" {

size_t cudnnGetVersion() {
  const char *version = std::getenv("DEEPSHARD_FAKE_CUDNN");
  return version ? static_cast<size_t>(std::atoll(version)) : 91901;
}

int nvrtcVersion(int *major, int *minor) {
  *major = 13;
  *minor = 0;
  return 0;
}

} // extern "C"
