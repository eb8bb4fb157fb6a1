//===- DataSet.h - the files behind a plan's inputs -------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DATA_DATASET_H
#define DEEPSHARD_RUNTIME_DATA_DATASET_H

#include "runtime/data/Convert.h"
#include "runtime/data/Order.h"
#include "runtime/data/SampleFile.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace deepshard::planpb {
class Plan;
}

namespace deepshard::runtime {

struct DataOptions {
  /// (name of the input, file): what `--data NAME=FILE` gave.
  std::vector<std::pair<std::string, std::string>> files;
  uint64_t seed = 0;
  bool shuffle = true;
};

/// Feeds the inputs of a plan: of every sample the piece that the layout of the input gives a rank.
/// All inputs share one order of samples, so row i of one file belongs
/// to row i of the others; two inputs may name the same file.
class DataSet {
public:
  /// Opens all files. Throws one Error with every fault: inputs without a file, names that the plan
  /// does not have, files of a wrong type or shape, unequal numbers of samples, fewer samples than
  /// a global batch.
  DataSet(const planpb::Plan &plan, const DataOptions &options, int rank = 0);

  /// Number of samples in an epoch; 0 if no input has samples.
  uint64_t samples() const { return sampleCount; }

  /// Writes one micro-batch of input `index`: the samples at `position`, `position + 1`, ... of the
  /// run's order, into a window with `strides` (elements). Allocates nothing. Throws Error if a
  /// number does not fit the input, naming file and sample, or if the file has become shorter.
  void feed(size_t index, uint64_t position, void *to, std::span<const int64_t> strides);

private:
  struct Input {
    SampleType type;            // of whole samples
    std::vector<int64_t> shape; // of the rank's micro-batch
    int batchDimension = 0;     // -1: none
    ValueRange range;
    std::unique_ptr<SampleFile> file;
    std::vector<char> row;           // one sample in the file's type
    std::vector<int64_t> sampleDims; // dimensions of `shape` but the batch
    std::vector<int64_t> begins;     // where the rank's piece begins in them
    std::vector<int64_t> counter;    // over all of them but the last
  };

  void addInput(const planpb::Plan &plan, int index, int rank);
  void openFiles(const DataOptions &options, std::vector<std::string> &faults);
  void compareCounts(uint64_t globalBatch, std::vector<std::string> &faults);
  void place(Input &input, uint64_t sample, char *to, std::span<const int64_t> strides);

  std::vector<Input> inputs;
  uint64_t sampleCount = 0;
  SampleOrder order;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_DATA_DATASET_H
