//===- Tables.cpp - checks what belongs to the plan as a whole --------------------------------===//

#include "runtime/plan/CheckerParts.h"
#include "runtime/plan/Geometry.h"
#include "runtime/plan/Pieces.h"

#include <algorithm>
#include <functional>
#include <set>

namespace deepshard::runtime {

namespace {

void checkTraining(const planpb::Plan &plan, Faults &faults) {
  const planpb::Training &training = plan.training();
  if (training.micro_batch() == 0 || training.accumulation() == 0 || training.global_batch() == 0)
    faults.add("training: micro_batch {}, accumulation {} and global_batch {} must be at least 1",
               training.micro_batch(), training.accumulation(), training.global_batch());
  uint64_t ofOneRank = uint64_t{training.micro_batch()} * training.accumulation();
  bool isSound = plan.ranks() == 1 ? ofOneRank == training.global_batch()
                                   : ofOneRank > 0 && training.global_batch() % ofOneRank == 0;
  if (!isSound)
    faults.add("training: global_batch is {}, but one rank with micro_batch {} and accumulation {} "
               "processes {}",
               training.global_batch(), training.micro_batch(), training.accumulation(), ofOneRank);
}

/// The layout of an input is sound, and all its dimensions together name each axis once. Else
/// false.
bool checkInputLayout(const planpb::Input &input, const Mesh &mesh, Faults &faults) {
  const auto &dims = input.layout().dims();
  if (!dims.empty() && dims.size() != input.shape_size()) {
    faults.add("input {}: its layout has {} dimensions, its shape has {}", input.name(),
               dims.size(), input.shape_size());
    return false;
  }
  planpb::AxisList all;
  for (const planpb::AxisList &list : dims)
    all.MergeFrom(list);
  if (auto fault = mesh.faultOf(all)) {
    faults.add("input {}: its layout: {}", input.name(), *fault);
    return false;
  }
  return true;
}

/// All ranks together read `global_batch / accumulation` samples for a micro-batch.
void checkBatch(const planpb::Plan &plan, const Mesh &mesh, const planpb::Input &input,
                Faults &faults) {
  int batch = input.batch_dimension();
  if (batch < -1 || batch >= input.shape_size()) {
    faults.add("input {}: batch dimension {} of {} dimensions does not exist", input.name(), batch,
               input.shape_size());
    return;
  }
  if (!checkInputLayout(input, mesh, faults) || batch == -1)
    return;
  const planpb::AxisList axes = axesOf(input, batch);
  uint64_t parts = mesh.parts(axes);
  const planpb::Training &training = plan.training();
  if (static_cast<unsigned __int128>(input.shape(batch)) * parts * training.accumulation() !=
      training.global_batch())
    faults.add("input {}: {} samples in dimension {} on {} parts ({}) and accumulation {} do not "
               "make the global_batch of {}",
               input.name(), input.shape(batch), batch, parts, mesh.text(axes),
               training.accumulation(), training.global_batch());
}

void checkInputs(const planpb::Plan &plan, const Mesh &mesh, Faults &faults) {
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
    checkBatch(plan, mesh, input, faults);
  }
}

void checkSource(const planpb::Plan &plan, const planpb::Parameter &parameter, const Cut &cut,
                 Faults &faults) {
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
  else if (!stridesAs({parameter.shape().begin(), parameter.shape().end()},
                      {parameter.file_strides().begin(), parameter.file_strides().end()},
                      cut.shape))
    faults.add("parameter {}: its data in {} lie so that they cannot be seen as ({})",
               parameter.name(), file.path(), fmt::join(cut.shape, ", "));
  else if (end > file.bytes())
    faults.add("parameter {}: its data end after the end of {} ({} bytes)", parameter.name(),
               file.path(), file.bytes());
}

/// Rule 9: the shapes of a parameter and its pieces. True if they are sound.
bool checkCut(const planpb::Parameter &parameter, const Mesh &mesh, Faults &faults) {
  const std::string &name = parameter.name();
  size_t before = faults.number();
  std::optional<uint64_t> count = elementCount(parameter.shape());
  const auto &shape = parameter.cut_shape().empty() ? parameter.shape() : parameter.cut_shape();
  const auto &padded = parameter.padded_shape().empty() ? shape : parameter.padded_shape();
  if (!count || elementBytes(parameter.dtype()) == 0)
    faults.add("parameter {}: its type or shape is not valid", name);
  else if (elementCount(shape) != count)
    faults.add("parameter {}: cut_shape ({}) has not the elements of shape ({})", name,
               fmt::join(shape, ", "), fmt::join(parameter.shape(), ", "));
  else if (!elementCount(padded) || padded.size() != shape.size() ||
           !std::equal(shape.begin(), shape.end(), padded.begin(), std::less_equal<>()))
    faults.add("parameter {}: padded_shape ({}) is not ({}) or larger", name,
               fmt::join(padded, ", "), fmt::join(shape, ", "));
  const auto &dims = parameter.layout().dims();
  if (dims.size() != 0 && dims.size() != padded.size()) {
    faults.add("parameter {}: its layout has {} dimensions, its shape has {}", name, dims.size(),
               padded.size());
    return false;
  }
  planpb::AxisList all;
  for (int i = 0; i < dims.size(); ++i) {
    auto fault = mesh.faultOf(dims[i]);
    if (fault)
      faults.add("parameter {}: its layout: {}", name, *fault);
    else if (padded[i] % static_cast<int64_t>(mesh.parts(dims[i])) != 0)
      faults.add("parameter {}: dimension {} of size {} does not split over {} = {}", name, i,
                 padded[i], mesh.text(dims[i]), mesh.parts(dims[i]));
    all.MergeFrom(dims[i]);
  }
  if (faults.number() == before)
    if (auto fault = mesh.faultOf(all))
      faults.add("parameter {}: its layout: {}", name, *fault);
  return faults.number() == before;
}

void checkParameters(const planpb::Plan &plan, const Mesh &mesh, Faults &faults) {
  std::set<std::string> names;
  for (const planpb::Parameter &parameter : plan.parameters()) {
    if (!names.insert(parameter.name()).second)
      faults.add("parameter {}: the name occurs twice", parameter.name());
    for (const std::string &alias : parameter.aliases())
      if (!names.insert(alias).second)
        faults.add("parameter {}: its alias {} occurs twice", parameter.name(), alias);
    if (checkCut(parameter, mesh, faults))
      checkSource(plan, parameter, Cut(mesh, parameter), faults);
  }
}

} // namespace

void checkTables(const planpb::Plan &plan, const Mesh &mesh, Faults &faults) {
  if (plan.programs_size() == 0)
    faults.add("the plan has no program");
  if (plan.ranks() != mesh.ranks())
    faults.add("the plan has {} ranks, its mesh has {}", plan.ranks(), mesh.ranks());
  checkTraining(plan, faults);
  checkInputs(plan, mesh, faults);
  checkParameters(plan, mesh, faults);
}

} // namespace deepshard::runtime
