//===- SampleFile.h - rows of numbers in a file -----------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DATA_SAMPLEFILE_H
#define DEEPSHARD_RUNTIME_DATA_SAMPLEFILE_H

#include "runtime/kernels/Kernel.h"
#include "runtime/plan/File.h"

#include <cstdint>
#include <string>
#include <vector>

namespace deepshard::runtime {

/// What an input wants from a file.
struct SampleType {
  std::string input;          ///< name, for messages
  DType dtype = DType::F32;   ///< the input's; the file's must convert to it
  std::vector<int64_t> shape; ///< of one sample
  bool hasSamples =
      true; ///< false: the file holds exactly one sample, which serves every micro-batch
};

/// Samples of equal shape, contiguous in a file:
///  * `.npy` (format 1 to 3, C order, little endian): the first dimension counts the samples;
///  * anything else: a flat file of numbers, cut into samples one after another, a rest at the end
///  is left out. Its
///    type is given as "FILE:uint16" (uint8, uint16, int32, int64, float32, float64) or by
///    "FILE.json"
///    {"dtype": "uint8"}.
class SampleFile {
public:
  /// `name`: path, for flat files with an optional ":type". Throws Error naming the input, what was
  /// found and what was expected.
  SampleFile(const std::string &name, const SampleType &type);

  uint64_t samples() const { return count; }
  DType dtype() const { return fileDType; }
  uint64_t bytesPerSample() const { return sampleBytes; }
  const std::string &path() const { return file.path(); }

  /// Copies the bytes of a sample, in the file's type. Throws Error if the file has become shorter.
  void read(uint64_t sample, void *to) const {
    file.read(begin + sample * sampleBytes, to, sampleBytes);
  }

private:
  void openNumpy(const SampleType &type);
  void openFlat(const SampleType &type);
  void requireConvertible(const SampleType &type) const;

  struct Named {
    std::string path;
    std::string dtype; // empty: not given
  };
  static Named splitName(const std::string &name);
  SampleFile(const Named &named, const SampleType &type);

  InputFile file;
  std::string givenDType;
  DType fileDType = DType::F32;
  uint64_t begin = 0;
  uint64_t sampleBytes = 0;
  uint64_t count = 0;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_DATA_SAMPLEFILE_H
