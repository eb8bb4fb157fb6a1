//===- Prepare.cpp - tasks with kernels and addresses, ready to run ---------------------------===//

#include "runtime/executor/Prepare.h"

#include "runtime/executor/Memory.h"
#include "runtime/kernels/CpuLevel.h"
#include "runtime/plan/Checker.h"
#include "runtime/plan/Error.h"
#include "runtime/plan/Geometry.h"
#include "runtime/plan/Types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>

namespace deepshard::runtime {

namespace {

Reduction reductionOf(planpb::Collective::Reduction reduction) {
  switch (reduction) {
  case planpb::Collective::MAX:
    return Reduction::Max;
  case planpb::Collective::MIN:
    return Reduction::Min;
  default:
    return Reduction::Sum;
  }
}

/// Elements of dimensions `first` to `last` - 1 of the input.
int64_t elementsOf(const planpb::View &view, uint32_t first, uint32_t last) {
  int64_t product = 1;
  for (uint32_t i = first; i < last; ++i)
    product *= view.shape(static_cast<int>(i));
  return product;
}

/// Brings shapes to the form of Communicator.h.
PreparedCollective preparedCollective(const planpb::Collective &task, Communicator &communicator) {
  using planpb::Collective;
  PreparedCollective result;
  result.communicator = &communicator;
  result.kind = task.kind();
  result.reduction = reductionOf(task.reduction());
  result.type = dtypeOf(task.input().dtype());
  result.sources.assign(task.sources().begin(), task.sources().end());
  const planpb::View &input = task.input();
  auto rank = static_cast<uint32_t>(input.shape_size());
  int64_t parts = communicator.size();
  uint32_t split = task.split();
  uint32_t concat = task.concat();
  switch (task.kind()) {
  case Collective::REDUCE_SCATTER:
    result.outer = elementsOf(input, 0, split);
    result.inner = elementsOf(input, split, rank) / parts;
    break;
  case Collective::ALL_GATHER:
    result.outer = elementsOf(input, 0, concat);
    result.inner = elementsOf(input, concat, rank);
    break;
  case Collective::ALL_TO_ALL:
    result.isForward = split <= concat;
    result.outer = elementsOf(input, 0, std::min(split, concat));
    result.middle = elementsOf(input, std::min(split, concat), std::max(split, concat));
    result.inner = elementsOf(input, std::max(split, concat), rank);
    // The cut dimension opens `middle` if it comes first, else `inner`.
    (split < concat ? result.middle : result.inner) /= parts;
    break;
  default:
    result.inner = elementsOf(input, 0, rank);
    break;
  }
  return result;
}

} // namespace

PreparedProgram::PreparedProgram(const planpb::Plan &plan, const planpb::Program &program,
                                 const Memory &memory, Device &device, int threads,
                                 Executor *executor, const Communicators &communicators)
    : plan(plan), device(device), threads(threads) {
  std::vector<std::string> faults;
  std::map<const planpb::Task *, Kernel *> kernelOf;
  for (const planpb::Segment &segment : program.segments())
    for (int i = 0; i < segment.tasks_size(); ++i)
      if (segment.tasks(i).has_launch())
        kernelOf[&segment.tasks(i)] = kernelFor(segment, i, faults);
      else if (segment.tasks(i).has_collective())
        collectives[&segment.tasks(i)] = preparedCollective(
            segment.tasks(i).collective(),
            *communicators.at(memory.mesh().digits(segment.tasks(i).collective().group())));
  reportFaults(faults);
  for (const planpb::SegmentCall &call : program.schedule()) {
    auto [entry, isNew] = segments.try_emplace({call.segment(), call.slot()});
    PreparedSegment &prepared = entry->second;
    callOrder.push_back(&prepared);
    if (!isNew)
      continue;
    prepared.executor = executor;
    prepared.name = program.segments(static_cast<int>(call.segment())).name();
    auto at = [&](const planpb::View &view) -> void * { return memory.at(view, call.slot()); };
    for (const planpb::Slot &state : program.run_state())
      prepared.runState.push_back({state.name(), at(state.view()),
                                   static_cast<int64_t>(memory.mesh().part(
                                       state.axes(), static_cast<uint64_t>(memory.rank())))});
    for (const planpb::Task &task : program.segments(static_cast<int>(call.segment())).tasks()) {
      PreparedTask &ready = prepared.tasks.emplace_back();
      ready.executor = executor;
      ready.task = &task;
      if (task.has_launch()) {
        ready.kernel = kernelOf.at(&task);
        for (const planpb::View &view : task.launch().inputs())
          ready.inputs.push_back(at(view));
        for (const planpb::View &view : task.launch().outputs())
          ready.outputs.push_back(at(view));
        if (task.launch().has_workspace())
          ready.workspace = at(task.launch().workspace());
      } else if (task.has_feed()) {
        ready.outputs.push_back(at(task.feed().view()));
      } else if (task.has_copy()) {
        ready.inputs.push_back(at(task.copy().from()));
        ready.outputs.push_back(at(task.copy().to()));
      } else if (task.has_collective()) {
        ready.collective = &collectives.at(&task);
        ready.inputs.push_back(at(task.collective().input()));
        ready.outputs.push_back(at(task.collective().output()));
      }
    }
  }
}

Kernel *PreparedProgram::kernelFor(const planpb::Segment &segment, int index,
                                   std::vector<std::string> &faults) {
  const planpb::Task &task = segment.tasks(index);
  const planpb::Launch &launch = task.launch();
  std::string where = describeTask(segment, index);
  const KernelProvider *provider = device.provider(launch.provider());
  if (!provider) {
    faults.push_back(
        fmt::format("{}: this ds-run has no kernel provider {}", where, launch.provider()));
    return nullptr;
  }
  try {
    KernelSpec spec = kernelSpec(launch, threads);
    if (std::optional<std::string> reason = provider->whyNot(spec)) {
      faults.push_back(fmt::format("{}: {} cannot run it: {}", where, launch.provider(), *reason));
      return nullptr;
    }
    uint64_t planned = launch.has_workspace() ? *byteSpan(launch.workspace()) : 0;
    uint64_t needed = provider->workspaceBytes(spec);
    if (needed > planned) {
      shortOfWorkspace = provider;
      faults.push_back(fmt::format("{}: its workspace has {} bytes, {} are needed with {} threads",
                                   where, planned, needed, threads));
      return nullptr;
    }
    std::unique_ptr<Kernel> &kernel = kernels[{task.stream(), kernelKey(launch)}];
    if (!kernel)
      kernel = provider->prepare(spec);
    return kernel.get();
  } catch (const std::invalid_argument &error) {
    faults.push_back(
        fmt::format("{}: {} cannot run it: {}", where, launch.provider(), error.what()));
  }
  return nullptr;
}

/// A workspace depends on the number of threads and, where a library asks for it, on the library
/// and on what it finds of the CPU: instructions, but caches too.
std::string PreparedProgram::adviceOnWorkspaces() const {
  if (static_cast<uint32_t>(threads) != plan.threads())
    return fmt::format("the plan was made for {0} threads: run it with --threads {0}, or run "
                       "ds-opt again with --threads {1}",
                       plan.threads(), threads);
  std::string here = shortOfWorkspace->library();
  auto planned = plan.libraries().find(std::string(shortOfWorkspace->name()));
  if (planned != plan.libraries().end() && planned->second != here)
    return fmt::format("the plan was made with {}, this ds-run has {}, which needs other "
                       "workspaces: run ds-opt again on this machine",
                       planned->second, here.empty() ? "another library" : here);
  std::string who = here.empty() ? fmt::format("provider {}", shortOfWorkspace->name()) : here;
  if (plan.cpu_level() != cpuLevel())
    return fmt::format("the plan was made on a CPU of level {}, this one offers {}, on which {} "
                       "needs other workspaces: run ds-opt again on this machine",
                       plan.cpu_level(), cpuLevel(), who);
  return fmt::format("the plan was made on another CPU of level {}; on this one {} needs other "
                     "workspaces: run ds-opt again on this machine",
                     plan.cpu_level(), who);
}

void PreparedProgram::reportFaults(const std::vector<std::string> &faults) const {
  if (faults.empty())
    return;
  constexpr size_t kMostListed = 20;
  std::vector<std::string> listed(faults.begin(),
                                  faults.begin() + std::min(faults.size(), kMostListed));
  if (faults.size() > kMostListed)
    listed.push_back(fmt::format("and {} more faults", faults.size() - kMostListed));
  if (shortOfWorkspace)
    listed.push_back(adviceOnWorkspaces());
  throw Error(fmt::format("{}", fmt::join(listed, "\n")));
}

} // namespace deepshard::runtime
