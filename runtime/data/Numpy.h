//===- Numpy.h - the header of a .npy file ----------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DATA_NUMPY_H
#define DEEPSHARD_RUNTIME_DATA_NUMPY_H

#include "runtime/kernels/Kernel.h"
#include "runtime/plan/File.h"

#include <cstdint>
#include <vector>

namespace deepshard::runtime {

/// What a .npy file holds.
struct NumpyHeader {
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  uint64_t dataBegin = 0; ///< byte where the first element lies
};

/// Reads the header of a .npy file of format 1, 2 or 3 (numpy.lib.format) and checks that its data
/// are there, in C order and little endian. Throws Error otherwise.
NumpyHeader readNumpyHeader(const InputFile &file);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_DATA_NUMPY_H
