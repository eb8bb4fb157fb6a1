//===- Tables.cpp - checks what belongs to the plan as a whole --------------------------------===//

#include "runtime/plan/CheckerParts.h"
#include "runtime/plan/Geometry.h"

#include <algorithm>
#include <set>

namespace deepshard::runtime {

namespace {

void checkTraining(const planpb::Plan &plan, Faults &faults) {
  const planpb::Training &training = plan.training();
  if (training.micro_batch() == 0 || training.accumulation() == 0 || training.global_batch() == 0)
    faults.add("training: micro_batch {}, accumulation {} and global_batch {} must be at least 1",
               training.micro_batch(), training.accumulation(), training.global_batch());
  uint64_t ofOneRank = uint64_t{training.micro_batch()} * training.accumulation();
  if (plan.ranks() == 1 && ofOneRank != training.global_batch())
    faults.add("training: global_batch is {}, but one rank with micro_batch {} and accumulation {} "
               "processes {}",
               training.global_batch(), training.micro_batch(), training.accumulation(), ofOneRank);
}

void checkInputs(const planpb::Plan &plan, Faults &faults) {
  std::set<std::string> names;
  for (const planpb::Input &input : plan.inputs()) {
    if (!names.insert(input.name()).second)
      faults.add("input {}: the name occurs twice", input.name());
    std::optional<uint64_t> count = elementCount(input.shape());
    // Far above any micro-batch, and far below where byte counts leave 64 bits.
    constexpr uint64_t kMostElements = uint64_t{1} << 44;
    if (!count || *count == 0 || *count > kMostElements || elementBytes(input.dtype()) == 0) {
      faults.add("input {}: its type or shape is not valid", input.name());
      continue;
    }
    int batch = input.batch_dimension();
    if (batch < -1 || batch >= input.shape_size())
      faults.add("input {}: batch dimension {} of {} dimensions does not exist", input.name(),
                 batch, input.shape_size());
    else if (batch >= 0 && input.shape(batch) != plan.training().micro_batch())
      faults.add("input {}: {} samples in dimension {}, but micro_batch is {}", input.name(),
                 input.shape(batch), batch, plan.training().micro_batch());
  }
}

void checkSource(const planpb::Plan &plan, const planpb::Parameter &parameter, Faults &faults) {
  if (parameter.file() == -1)
    return;
  if (parameter.file() < 0 || parameter.file() >= plan.files_size()) {
    faults.add("parameter {}: file {} of {} does not exist", parameter.name(), parameter.file(),
               plan.files_size());
    return;
  }
  const planpb::DataFile &file = plan.files(parameter.file());
  std::optional<uint64_t> span = elementSpan(parameter.shape(), parameter.file_strides());
  uint64_t width = elementBytes(parameter.file_dtype());
  unsigned __int128 end =
      static_cast<unsigned __int128>(span.value_or(0)) * width + parameter.file_offset();
  if (!span || width == 0)
    faults.add("parameter {}: shape, strides or type of its data in {} are not valid",
               parameter.name(), file.path());
  else if (end > file.bytes())
    faults.add("parameter {}: its data end after the end of {} ({} bytes)", parameter.name(),
               file.path(), file.bytes());
}

void checkParameters(const planpb::Plan &plan, Faults &faults) {
  std::set<std::string> names;
  for (const planpb::Parameter &parameter : plan.parameters()) {
    if (!names.insert(parameter.name()).second)
      faults.add("parameter {}: the name occurs twice", parameter.name());
    for (const std::string &alias : parameter.aliases())
      if (!names.insert(alias).second)
        faults.add("parameter {}: its alias {} occurs twice", parameter.name(), alias);
    const planpb::View &view = parameter.view();
    if (view.dtype() != parameter.dtype() ||
        !std::equal(view.shape().begin(), view.shape().end(), parameter.shape().begin(),
                    parameter.shape().end()))
      faults.add("parameter {}: type or shape differ from its place in memory", parameter.name());
    checkSource(plan, parameter, faults);
  }
}

} // namespace

void checkTables(const planpb::Plan &plan, Faults &faults) {
  if (plan.programs_size() == 0)
    faults.add("the plan has no program");
  if (plan.ranks() == 0)
    faults.add("the plan has no ranks");
  checkTraining(plan, faults);
  checkInputs(plan, faults);
  checkParameters(plan, faults);
}

} // namespace deepshard::runtime
