//===- Summary.cpp - what a plan holds --------------------------------------------------------===//

#include "runtime/plan/Summary.h"

#include "runtime/plan/Geometry.h"
#include "runtime/plan/Mesh.h"
#include "runtime/plan/Traffic.h"
#include "runtime/plan/Types.h"
#include "runtime/plan/plan.pb.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace deepshard::runtime {

static std::string mebibytes(uint64_t bytes) {
  return fmt::format("{:.3f} MiB", static_cast<double>(bytes) / (1 << 20));
}

/// What the arenas take, and of it what kernels of each provider may use for themselves.
static std::string summarizeMemory(const planpb::Plan &plan, const planpb::Program &program) {
  uint64_t total = 0;
  for (const planpb::Arena &arena : program.arenas())
    total += arena.bytes();
  std::string text = fmt::format("  memory of a rank: {}", mebibytes(total));
  if (plan.memory_budget() > 0)
    text += fmt::format(" of the {} that it may use", mebibytes(plan.memory_budget()));
  if (plan.memory_reserve() > 0)
    text +=
        fmt::format("; {} more are left to driver and libraries", mebibytes(plan.memory_reserve()));
  text += '\n';
  std::map<std::string, uint64_t> largest;
  for (const planpb::Segment &segment : program.segments())
    for (const planpb::Task &task : segment.tasks())
      if (task.has_launch() && task.launch().has_workspace()) {
        uint64_t &bytes = largest[task.launch().provider()];
        bytes = std::max(bytes, byteSpan(task.launch().workspace()).value_or(0));
      }
  for (const auto &[provider, bytes] : largest)
    text += fmt::format("  workspaces of {} in it: up to {}\n", provider, mebibytes(bytes));
  return text;
}

static std::string summarizeProgram(const planpb::Plan &plan, const planpb::Program &program) {
  std::string text;
  size_t tasks = 0;
  size_t run = 0;
  for (const planpb::Segment &segment : program.segments())
    tasks += static_cast<size_t>(segment.tasks_size());
  for (const planpb::SegmentCall &call : program.schedule())
    run += static_cast<size_t>(program.segments(static_cast<int>(call.segment())).tasks_size());
  text += fmt::format("program {}: {} segments, {} tasks, {} run in a step, {} streams\n",
                      program.name(), program.segments_size(), tasks, run, program.streams_size());
  text += summarizeMemory(plan, program);
  for (int i = 0; i < program.arenas_size(); ++i) {
    const planpb::Arena &arena = program.arenas(i);
    text += fmt::format("  arena {}{}: {}", i, arena.window() ? " (window)" : "",
                        mebibytes(arena.bytes()));
    if (arena.max_live_bytes() > 0)
      text += fmt::format(", {:.3f} x the most that lives at once",
                          static_cast<double>(arena.bytes()) /
                              static_cast<double>(arena.max_live_bytes()));
    text += '\n';
  }
  constexpr std::array<const char *, 5> kNames = {"persistent", "step", "slot", "transient",
                                                  "window"};
  std::array<uint64_t, kNames.size()> bytes = {};
  std::array<size_t, kNames.size()> count = {};
  std::map<std::string, std::pair<size_t, uint64_t>> kinds; // of step buffers: number and bytes
  for (const planpb::Buffer &buffer : program.buffers()) {
    auto lifetime = static_cast<size_t>(buffer.lifetime());
    if (lifetime >= kNames.size())
      continue;
    uint64_t copies = buffer.lifetime() == planpb::SLOT ? slotCount(program) : 1;
    bytes[lifetime] += buffer.bytes() * copies;
    ++count[lifetime];
    if (!buffer.kind().empty()) {
      ++kinds[buffer.kind()].first;
      kinds[buffer.kind()].second += buffer.bytes();
    }
  }
  for (size_t i = 0; i < kNames.size(); ++i)
    if (count[i] > 0)
      text += fmt::format("  {} {} buffers: {}\n", count[i], kNames[i], mebibytes(bytes[i]));
  for (const auto &[kind, total] : kinds)
    text += fmt::format("  {} step buffers of kind {}: {}\n", total.first, kind,
                        mebibytes(total.second));
  return text;
}

/// Bytes that a rank holds of each kind of bucket, of how many in all.
static std::string summarizeBuckets(const planpb::Program &program, const Mesh &mesh) {
  struct Kind {
    size_t count = 0;
    uint64_t held = 0;
    uint64_t whole = 0;
    std::set<std::string> axes;
  };
  std::map<std::string, Kind> kinds;
  for (const planpb::Bucket &bucket : program.buckets()) {
    Kind &kind = kinds[bucket.kind()];
    ++kind.count;
    kind.held += *byteSpan(bucket.view());
    kind.whole += bucket.elements() * elementBytes(bucket.view().dtype());
    if (mesh.parts(bucket.axes()) > 1)
      kind.axes.insert(mesh.text(bucket.axes()));
  }
  std::string text;
  for (const auto &[name, kind] : kinds) {
    text += fmt::format("  {} buckets of kind {}: {}", kind.count, name, mebibytes(kind.held));
    if (!kind.axes.empty())
      text += fmt::format(" of {}, cut over {}", mebibytes(kind.whole),
                          fmt::join(kind.axes, " or over "));
    text += '\n';
  }
  return text;
}

static std::string summarizeTraffic(const planpb::Plan &plan, const planpb::Program &program) {
  std::string text;
  for (const Traffic &traffic : trafficOf(plan, program))
    text += fmt::format("  {} over {} ({} ranks): {} a step, a rank sends {}\n",
                        nameOf(traffic.kind), traffic.axes, traffic.members, traffic.calls,
                        mebibytes(static_cast<uint64_t>(traffic.bytes())));
  return text;
}

/// "x86-64-v3 with 2 threads a rank", "CUDA (sm_90, compute_90)".
static std::string targetOf(const planpb::Plan &plan) {
  if (plan.backend() != planpb::CUDA)
    return fmt::format("{} with {} threads a rank", plan.cpu_level(), plan.threads());
  std::vector<std::string> targets;
  for (const planpb::DeviceCode &code : plan.device_code())
    targets.push_back(code.target());
  return fmt::format("CUDA ({})", fmt::join(targets, ", "));
}

/// How many graphs the plan has for a library and a GPU.
static std::map<std::pair<std::string, std::string>, int> graphsByTarget(const planpb::Plan &plan) {
  std::map<std::pair<std::string, std::string>, int> counts;
  for (const planpb::LibraryGraph &graph : plan.library_graphs())
    ++counts[{graph.library(), graph.gpu()}];
  return counts;
}

std::string summarize(const planpb::Plan &plan) {
  const planpb::Training &training = plan.training();
  std::string text = fmt::format("made by {} from {} for {}, {}\n", plan.producer(), plan.model(),
                                 targetOf(plan), plan.precision());
  text += fmt::format("{} rank{}, global batch {} = {} micro-batches of {} a rank\n", plan.ranks(),
                      plan.ranks() == 1 ? "" : "s", training.global_batch(),
                      training.accumulation(), training.micro_batch());
  std::vector<std::string> axes;
  for (const planpb::MeshAxis &axis : plan.mesh().axes())
    axes.push_back(fmt::format("{} = {}", axis.name(), axis.size()));
  if (!axes.empty())
    text += fmt::format("mesh: {}\n", fmt::join(axes, ", "));
  uint64_t trained = 0;
  for (const planpb::Parameter &parameter : plan.parameters())
    if (parameter.trainable())
      trained += elementCount(parameter.shape()).value_or(0);
  text += fmt::format("{} parameters, {} numbers trained; {:.3e} FLOPs a step\n",
                      plan.parameters_size(), trained, static_cast<double>(plan.flops_per_step()));
  if (!plan.code().empty())
    text += fmt::format("generated kernels: {} bytes of code\n", plan.code().size());
  for (const auto &[target, count] : graphsByTarget(plan))
    text += fmt::format("kernels of {}: {} built for {}\n", target.first, count, target.second);
  for (const planpb::Input &input : plan.inputs())
    text += fmt::format("input {}: {} of shape {}\n", input.name(), nameOf(dtypeOf(input.dtype())),
                        fmt::join(input.shape(), "x"));
  Mesh mesh(plan.mesh());
  for (const planpb::Program &program : plan.programs())
    text += summarizeProgram(plan, program) + summarizeBuckets(program, mesh) +
            summarizeTraffic(plan, program);
  for (const std::string &kernel : plan.nondeterministic())
    text += fmt::format("may differ from run to run: {}\n", kernel);
  return text;
}

} // namespace deepshard::runtime
